"""HTTP faces of the control plane. No rules of their own."""

"""The protocol between control plane and data plane nodes."""

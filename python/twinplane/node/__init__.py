"""A process that runs the core: a data plane node, or the control plane's own front door."""

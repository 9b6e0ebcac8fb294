"""The protocol between control plane and data plane nodes.

`wire`, `hashing` and `compat` are pure; `server` is the control plane's end and `client` the node's. They are imported
by name and never together: a node loads nothing of what serves it.
"""

"""Version 2 of the hybrid protocol: JSON-RPC in snappy blocks over `/v2/outlet`, and configuration by deltas over it.

`framing`, `jsonrpc`, `hello` and `sync` are pure; `peer` is either end; `server` and `client` are one end each.
"""

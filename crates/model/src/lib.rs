//! Configuration structs of the data plane: one struct per entity row, as it crosses the door from Python.
//! Generated from `python/twinplane/entities`; holds no behaviour and no default.

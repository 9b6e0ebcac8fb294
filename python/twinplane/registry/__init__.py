"""Which entities and plugins exist: built by reading the rooms `entities` and `plugins`."""

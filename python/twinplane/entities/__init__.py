"""The core entities, one file each, declared in the language of `schema`."""

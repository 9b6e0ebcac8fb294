"""Migrations of the configuration store, run by `store.sql.schema`."""

"""The Admin API face."""

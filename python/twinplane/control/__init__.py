"""Use cases: every write of the platform is a call into this room."""

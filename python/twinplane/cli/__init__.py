"""The composition root: roles, start, stop."""

"""The Konnect API face."""

"""twinplane: an open, self-hosted API platform of two planes."""

__version__ = "0.1.0"

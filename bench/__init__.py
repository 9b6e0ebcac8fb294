"""Questions about speed and size, each with the numbers it last gave in README.md. Never part of the test suite."""

"""House rules as tests: what `make check` holds the tree against."""

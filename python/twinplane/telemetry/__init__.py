"""What is measured: events, wire form, ingest."""

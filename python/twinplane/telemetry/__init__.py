"""What is measured: `events` says what each field may hold, `wire` how it travels, `ingest` takes it in.

A node imports the first two only.
"""

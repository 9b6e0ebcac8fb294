"""Keeping: rows, revisions and events behind one door. Decides nothing."""

"""Audit lines on their way: how they are written, signed, carried, counted and passed on.

`line`, `signature`, `window` and `framing` are pure; the others do. A node loads the pure ones only.
"""

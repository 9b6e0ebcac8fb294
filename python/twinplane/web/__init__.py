"""Pages for people. They call `control`, never the store, and hold no rule of their own."""

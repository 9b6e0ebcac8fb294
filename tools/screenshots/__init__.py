"""Pictures of every page of the console: a seeded installation with traffic, a browser, and the list of pages."""

"""Documents: YAML and JSON in, with the place of everything, and all problems of a file at once."""

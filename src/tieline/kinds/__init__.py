"""The kinds of connections: one module per family, each kind with its schema, its binding and its access."""

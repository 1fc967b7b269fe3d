"""Types and nothing else: what the rooms hand each other. No I/O, and no kind of connection is named here."""

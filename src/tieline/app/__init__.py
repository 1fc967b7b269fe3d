"""The use cases, each once: what the command line and the server do is said here."""

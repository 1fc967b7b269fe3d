"""The command line: one module per noun, each imported when its command is typed; what it does is in app."""

"""The command line: one module per noun, each imported when its command is typed, and none of it knows more than app."""

"""Secrets: where values come from, and the type that never shows them."""

"""Channels: one sender per service. What it sends, and what the service's answer means for trying again."""

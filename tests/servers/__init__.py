"""Real servers for tests, on loopback: each on a random free port, in a temporary folder, ended by its pid.

A server whose program is absent skips the test with the reason, and fails it where ``CI=true``: there, everything has
to be installed.
"""

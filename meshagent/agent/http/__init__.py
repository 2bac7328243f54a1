"""The HTTP API: one table of endpoints, and the server that serves bytes from it."""

"""Layers of a connection, without I/O: bytes in, bytes out."""

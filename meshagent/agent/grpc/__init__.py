"""gRPC: one connection as a machine, channels, the table of methods, listeners."""

"""Cluster peering: tokens, the stream between two clusters, and what keeps it."""

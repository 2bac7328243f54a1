"""Cluster peering in the catalog: who the peers are, what they may present, what is imported from them."""

"""Envoy as a proxy of the mesh: a `ProxySnapshot` rendered as xDS resources."""

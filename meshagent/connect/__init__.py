"""The mesh: identity, permission, traffic."""

"""Gossip: SWIM membership on memberlist's wire, and serf's layer above it. README.md has the map."""

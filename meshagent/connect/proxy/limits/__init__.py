"""Rate limits of a sidecar's inbound side."""

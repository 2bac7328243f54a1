"""What the sidecars of a datacenter tell: asked on each host by its agent, brought together by a server."""

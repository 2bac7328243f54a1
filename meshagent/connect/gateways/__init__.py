"""Gateways: what a proxy that is no sidecar needs, by kind. See connect/README.md."""

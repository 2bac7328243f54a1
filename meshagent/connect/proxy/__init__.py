"""The built-in sidecar proxy: executes a `ProxySnapshot`."""

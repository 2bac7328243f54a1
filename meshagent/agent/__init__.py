"""The daemon: configuration, lifecycle, local services and checks, HTTP API, CLI."""

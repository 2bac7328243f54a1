"""Checks of a service behind an exposing proxy are dialled through the proxy's plaintext listener.

Source: surface row K21. With `Proxy.Expose.Checks` the proxy opens one plaintext listener for each HTTP and gRPC check
of its service, on a free port of 21500-21755 (`ports.expose_min_port`, `expose_max_port`), and the agent's own probe
goes there: these functions rewrite the target. Example: `http://127.0.0.1:8080/health` becomes
`http://10.0.0.5:21500/health`.
"""

from __future__ import annotations

import re

__all__ = ["expose_grpc", "expose_http"]

_URL_HOST = re.compile(r"^(?P<head>https?://)(?P<host>\[[^\]]*\]|[^:/?#]*)(?::[0-9]*)?(?P<rest>.*)$", re.DOTALL)


def expose_http(url: str, address: str, port: int) -> str:
    """`url` with its host and port replaced; anything that is no HTTP URL comes back as it was."""
    match = _URL_HOST.match(url)
    if match is None:
        return url
    return f"{match['head']}{_bracket(address)}:{port}{match['rest']}"


def expose_grpc(target: str, address: str, port: int) -> str:
    """`host:port/service` with host and port replaced."""
    _, slash, service = target.partition("/")
    return f"{_bracket(address)}:{port}{slash}{service}"


def _bracket(address: str) -> str:
    return f"[{address}]" if ":" in address and not address.startswith("[") else address

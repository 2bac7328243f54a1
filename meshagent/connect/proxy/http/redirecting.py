"""Redirects of a `service-router`: where a request is sent back to. Pure.

Source: Envoy's RedirectAction (what is left out stays as it was asked for; a port goes where a scheme makes it wrong);
RFC 9110 sections 10.2.2 and 15.4. What may change here: further parts of a URL.
"""

from __future__ import annotations

from collections.abc import Callable

from meshagent.catalog.entries.service_router import Redirect
from meshagent.connect.proxy.http.exchange import rewritten
from meshagent.connect.proxy.http.hooks import LocalReply
from meshagent.connect.proxy.http.messages import RequestHead

__all__ = ["location", "redirecting"]

_PORTS = {b"http": b"80", b"https": b"443"}


def redirecting(redirect: Redirect, matched: str) -> Callable[[RequestHead], LocalReply]:
    """The answer to a request. `matched` is the path or prefix that the route matches, "" for anything else."""
    status = redirect.response_code or 301

    def reply(head: RequestHead) -> LocalReply:
        where = (b"location", location(redirect, matched.encode(), head))
        return LocalReply(status, detail="direct_response", headers=(where,))

    return reply


def location(redirect: Redirect, matched: bytes, head: RequestHead) -> bytes:
    """The URL; without a scheme and host where the request named no host."""
    scheme = redirect.scheme_redirect.encode() or head.scheme
    host, colon, port = head.authority.rpartition(b":")
    if not colon or not port.isdigit():
        host, port = head.authority, b""
    if redirect.host_redirect:
        host, port = redirect.host_redirect.encode(), b""
    elif scheme != head.scheme and port == _PORTS.get(head.scheme):
        port = b""
    if redirect.port_redirect:
        port = str(redirect.port_redirect).encode()
    target = _target(redirect, matched, head.path)
    if not host:
        return target
    return scheme + b"://" + host + (b":" + port if port and port != _PORTS.get(scheme) else b"") + target


def _target(redirect: Redirect, matched: bytes, asked: bytes) -> bytes:
    path, mark, query = asked.partition(b"?")
    if redirect.path_redirect:
        new = redirect.path_redirect.encode()
        if b"?" in new:
            return new
        path = new
    elif redirect.prefix_rewrite and matched:
        path = rewritten(path, matched, redirect.prefix_rewrite.encode())
    if not path.startswith(b"/"):  # `*`, or a rewritten path that lost it
        path = b"/" + path.lstrip(b"*")
    return path if redirect.strip_query else path + mark + query

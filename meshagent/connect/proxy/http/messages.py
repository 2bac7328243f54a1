"""Heads of requests and answers, as the filter chain sees them, whatever version of HTTP they came with.

Names of headers are in lower case, values are raw bytes without white space around them, in wire order; several headers
of one name stay several. What belongs to one connection only (`connection`, `transfer-encoding`, `keep-alive`, `te`
but `trailers`, ...) never gets here: codecs take it away and put their own in.

Source: RFC 9110 sections 3, 5, 6.4 and 7.6.1; RFC 9113 section 8.3 (pseudo headers are the fields of `RequestHead`).
What may change here: fields are added with a default.
"""

from __future__ import annotations

import msgspec

__all__ = ["HOP_BY_HOP", "Headers", "RequestHead", "ResponseHead", "get", "without"]

Headers = list[tuple[bytes, bytes]]

#: Headers of one connection, never passed on (RFC 9110 section 7.6.1; proxy-connection is what old clients send).
#: `te`, `upgrade` and `trailer` are looked at by codecs first.
HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)


class RequestHead(msgspec.Struct):
    """A request without its body. It is changed in place on its way: routes rewrite `path` and edit `headers`.

    `path` is the target with its query (`/a?b=1`, or `*` of OPTIONS). `authority` is what the Host header or
    `:authority` said; no `host` is in `headers`. `upgrade` is the protocol of an `Upgrade` request or extended
    CONNECT (`websocket`), b"" without one. `length` is the declared length of the body, None without one
    (`content-length` is in `headers` too). `version` is 10, 11 or 20: what the client spoke, for logs.
    """

    method: bytes
    scheme: bytes
    authority: bytes
    path: bytes
    headers: Headers
    upgrade: bytes = b""
    length: int | None = None
    version: int = 11
    #: The client waits for a 100 before it sends the body (the header is in `headers` too).
    expects_continue: bool = False

    def copy(self) -> RequestHead:
        """Another head with a header list of its own, for one more try or a mirror."""
        return RequestHead(
            self.method, self.scheme, self.authority, self.path, self.headers.copy(),
            self.upgrade, self.length, self.version, self.expects_continue,
        )  # fmt: skip


class ResponseHead(msgspec.Struct):
    """An answer without its body. 101 answers an upgrade: what follows is bytes both ways."""

    status: int
    headers: Headers
    length: int | None = None
    reason: bytes = b""


def get(headers: Headers | tuple[()], name: bytes) -> bytes | None:
    """The value of the first header of a (lower case) name, None without one."""
    for key, value in headers:
        if key == name:
            return value
    return None


def without(headers: Headers, *names: bytes) -> Headers:
    """The headers but those of the (lower case) names."""
    return [one for one in headers if one[0] not in names]

"""Header blocks of HTTP/2 <-> heads of requests and answers. Pure.

The engine has checked a block before it comes here: names in lower case, characters, pseudo headers first and once, no
headers of one connection, `content-length` a number.

Source: RFC 9113 sections 8.2.3 (cookies), 8.3 (pseudo headers) and 8.5 (CONNECT); RFC 8441 (websockets). What may
change here: nothing that depends on a connection.
"""

from __future__ import annotations

from collections.abc import Iterable

from meshagent.connect.proxy.http.messages import Headers, RequestHead, ResponseHead
from meshagent.errors import RemoteProtocolError

__all__ = ["read_request", "read_response", "write_request", "write_response"]

_SPECIAL = frozenset({b"host", b"cookie", b"content-length", b"expect"})
_STATUS = {status: (b":status", str(status).encode()) for status in range(100, 600)}
_COLON = 0x3A


def read_request(fields: tuple[tuple[bytes, bytes], ...]) -> RequestHead:
    """The head of a request.

    Raises:
        RemoteProtocolError: a CONNECT that is none for websockets, or a `host` that differs from `:authority`.
    """
    method = scheme = authority = path = protocol = b""
    count = 0
    for name, value in fields:
        if name[0] != _COLON:
            break
        count += 1
        if name == b":method":
            method = value
        elif name == b":path":
            path = value
        elif name == b":authority":
            authority = value
        elif name == b":scheme":
            scheme = value
        elif name == b":protocol":
            protocol = value
    headers: Headers = list(fields[count:])
    head = RequestHead(method, scheme, authority, path, headers, version=20)
    if method == b"CONNECT":
        if protocol.lower() != b"websocket":  # as of HTTP/1.1: nothing else is passed through
            raise RemoteProtocolError("CONNECT without :protocol, or with another than websocket")
        head.method, head.upgrade = b"GET", b"websocket"
    cookies = 0
    for name, value in headers:
        if name in _SPECIAL:
            if name == b"cookie":
                cookies += 1
            elif name == b"content-length":
                head.length = int(value)
            elif name == b"expect":
                head.expects_continue = value.lower() == b"100-continue"
            else:
                _take_host(head, value)
    if cookies > 1:
        _join_cookies(head)
    return head


def read_response(fields: tuple[tuple[bytes, bytes], ...]) -> ResponseHead:
    """The head of an answer."""
    headers: Headers = list(fields[1:])
    head = ResponseHead(int(fields[0][1]), headers)
    for name, value in headers:
        if name == b"content-length":
            head.length = int(value)
            break
    return head


def write_request(head: RequestHead) -> Headers:
    """The fields of a request's header block."""
    first: Headers = [
        (b":method", head.method),
        (b":scheme", head.scheme or b"http"),
        (b":path", head.path),
        (b":authority", head.authority),
    ]
    if head.upgrade:
        first[0] = (b":method", b"CONNECT")
        first.append((b":protocol", head.upgrade))
    if not head.authority:
        del first[3]
    return first + head.headers


def write_response(head: ResponseHead, upgrade: bool = False) -> Headers:
    """The fields of an answer's header block. `upgrade`: it answers an extended CONNECT, whose 101 is 200."""
    status = 200 if upgrade and head.status == 101 else head.status
    return [_STATUS[status], *head.headers]


def _take_host(head: RequestHead, value: bytes) -> None:
    if not head.authority:
        head.authority = value
    elif head.authority != value:
        raise RemoteProtocolError("host differs from :authority")
    head.headers = [one for one in head.headers if one[0] != b"host"]


def _join_cookies(head: RequestHead) -> None:
    """Several cookie fields are one, cut for compression."""
    crumbs = _values(head.headers, b"cookie")
    head.headers = [one for one in head.headers if one[0] != b"cookie"]
    head.headers.append((b"cookie", b"; ".join(crumbs)))


def _values(headers: Headers, wanted: bytes) -> Iterable[bytes]:
    return [value for name, value in headers if name == wanted]

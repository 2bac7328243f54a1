"""Heads of HTTP/1.1 messages from bytes. Strict: what two parsers could read in two ways is refused.

A head is looked up in a table of heads seen before, and its lines in one of lines: most of them come again with each
request. Others are matched against the grammar. Lines that hold secrets are not remembered; both tables are bounded.

Refused: bare CR or LF, folded lines, white space before the colon, control characters, no or several Hosts, length
and transfer-encoding together, several lengths, codings other than `chunked`, targets that are no path.

Source: RFC 9112 sections 2 to 6; RFC 9110 sections 5.5, 7.2, 7.6.1; Envoy's limits (60 KiB, 100 headers). What may
change here: limits.
"""

from __future__ import annotations

import re

from meshagent.connect.proxy.http.messages import Headers, RequestHead, ResponseHead

__all__ = ["MAX_HEADERS", "MAX_HEAD_BYTES", "MAX_TARGET_BYTES", "BadMessage", "parse_fields", "request_head"]

#: Envoy: max_request_headers_kb 60, max_headers_count 100. Targets: nginx and Apache take 8 KiB.
MAX_HEAD_BYTES = 60 * 1024
MAX_HEADERS = 100
MAX_TARGET_BYTES = 16 * 1024

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_LINE = re.compile(rb"(" + _TOKEN + rb"):[\t ]*([\t\x20-\x7e\x80-\xff]*)")
_REQUEST_LINE = re.compile(rb"(" + _TOKEN + rb") ([\x21\x22\x24-\x7e]+) HTTP/1\.([01])")
_ANY_VERSION = re.compile(_TOKEN + rb" [\x21-\x7e]+ HTTP/[0-9]\.[0-9]")
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?")
_ABSOLUTE = re.compile(rb"(?i:https?)://([^/?#]+)([/?].*)?")
#: reg-name, IPv4 or [IPv6], and a port; no user (RFC 9110 section 4.2.4 has a proxy refuse it).
AUTHORITY = re.compile(rb"(?:[0-9A-Za-z\-._~!$&'()*+,;=%]*|\[[0-9A-Fa-f:.%a-zA-Z~_\-]+\])(?::[0-9]{0,5})?")
_LENGTH = re.compile(rb"[0-9]{1,18}")

# What a line means.
_PLAIN, _HOST, _LENGTH_LINE, _CODING, _CONNECTION, _UPGRADE, _EXPECT, _TE, _DROPPED = range(9)
_KINDS = {
    b"host": _HOST,
    b"content-length": _LENGTH_LINE,
    b"transfer-encoding": _CODING,
    b"connection": _CONNECTION,
    b"proxy-connection": _DROPPED,
    b"keep-alive": _DROPPED,
    b"upgrade": _UPGRADE,
    b"expect": _EXPECT,
    b"te": _TE,
    b"trailer": _DROPPED,
    b"http2-settings": _DROPPED,
}
#: Never remembered.
_SECRET = frozenset(
    {b"authorization", b"cookie", b"set-cookie", b"proxy-authorization", b"x-consul-token", b"x-api-key"}
)
#: Not remembered because they never come again; a head with one of them is not remembered as a whole.
_UNIQUE = frozenset(
    {b"x-request-id", b"traceparent", b"tracestate", b"b3", b"x-b3-traceid", b"x-b3-spanid", b"x-b3-parentspanid"}
)
#: Never let in by a `Connection` header, because they say where a message ends or goes.
_NEVER_NOMINATED = frozenset({b"content-length", b"host", b"transfer-encoding"})

_Line = tuple[int, tuple[bytes, bytes]]
_known: dict[bytes, _Line] = {}
_MAX_KNOWN, _MAX_KNOWN_BYTES = 4096, 256
#: Whole heads seen before: a client that asks the same thing sends the same bytes.
_requests: dict[bytes, tuple[RequestHead, Fields]] = {}
_responses: dict[bytes, tuple[ResponseHead, Fields]] = {}
_MAX_HEADS, _MAX_HEAD_KNOWN = 1024, 1024


class BadMessage(Exception):
    """The peer's message is refused; `status` says it to a client, `detail` to a log."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class Fields:
    """What the lines of a head say: headers that are passed on, and how the message is framed."""

    __slots__ = ("chunked", "close", "expect", "headers", "host", "keep_alive", "known", "length", "te", "upgrade")

    def __init__(self) -> None:
        self.headers: Headers = []
        self.host: bytes | None = None
        self.length: int | None = None
        self.chunked = False
        self.close = False
        self.keep_alive = False
        self.upgrade = b""
        self.expect = b""
        self.te = b""
        #: All lines are of the kind that comes again.
        self.known = True


def parse_fields(lines: list[bytes]) -> Fields:
    """The header lines of a message, without their ends. Raises BadMessage."""
    if len(lines) > MAX_HEADERS:
        raise BadMessage(431, "too_many_headers")
    fields = Fields()
    headers = fields.headers
    known = _known
    connection: list[bytes] = []
    for line in lines:
        found = known.get(line)
        if found is None:
            found = _understood(line)
            if line not in known:
                fields.known = False
        kind, pair = found
        if kind == _PLAIN:
            headers.append(pair)
        elif kind == _CONNECTION:
            connection += [token.strip(b" \t").lower() for token in pair[1].split(b",")]
        elif kind == _HOST:
            if fields.host is not None:
                raise BadMessage(400, "more_than_one_host")
            if AUTHORITY.fullmatch(pair[1]) is None:
                raise BadMessage(400, "bad_host")
            fields.host = pair[1]
        elif kind == _LENGTH_LINE:
            if fields.length is not None:
                raise BadMessage(400, "more_than_one_content_length")
            if _LENGTH.fullmatch(pair[1]) is None:
                raise BadMessage(400, "bad_content_length")
            fields.length = int(pair[1])
            headers.append(pair)
        elif kind == _CODING:
            if fields.chunked:
                raise BadMessage(400, "more_than_one_transfer_encoding")
            if pair[1].lower() != b"chunked":
                raise BadMessage(501, "unknown_transfer_encoding")
            fields.chunked = True
        elif kind == _UPGRADE:
            fields.upgrade = pair[1].lower()
        elif kind == _EXPECT:
            fields.expect = pair[1].lower()
            headers.append(pair)
        elif kind == _TE:
            fields.te = pair[1].lower()
    if fields.chunked and fields.length is not None:
        raise BadMessage(400, "content_length_with_transfer_encoding")
    if connection:
        _nominated(fields, connection)
    else:
        fields.upgrade = b""
    if fields.te and any(token.strip(b" \t") == b"trailers" for token in fields.te.split(b",")):
        fields.headers.append((b"te", b"trailers"))
    return fields


def _nominated(fields: Fields, tokens: list[bytes]) -> None:
    """What `Connection` says: how the connection goes on, and headers that are for it alone."""
    fields.close = b"close" in tokens
    fields.keep_alive = b"keep-alive" in tokens
    if b"upgrade" not in tokens:
        fields.upgrade = b""
    gone = {*tokens} - {b"close", b"keep-alive", b"upgrade", b"te", b""} - _NEVER_NOMINATED
    if gone:
        fields.headers = [one for one in fields.headers if one[0] not in gone]


def _understood(line: bytes) -> _Line:
    match = _LINE.fullmatch(line)
    if match is None:
        raise BadMessage(400, "bad_header_line")
    name = match[1].lower()
    found = (_KINDS.get(name, _PLAIN), (name, match[2].rstrip(b"\t ")))
    if len(line) <= _MAX_KNOWN_BYTES and name not in _SECRET and name not in _UNIQUE:
        if len(_known) >= _MAX_KNOWN:
            _known.clear()
        _known[line] = found
    return found


def request_head(block: bytes) -> tuple[RequestHead, Fields]:
    """A request's head from its bytes up to the empty line (without it). Raises BadMessage.

    `RequestHead.length` is None for a chunked body; `Fields.close` says that the connection ends with the answer.
    """
    seen = _requests.get(block)
    if seen is not None:
        head, fields = seen
        return head.copy(), fields
    first, *lines = block.split(b"\r\n")
    match = _REQUEST_LINE.fullmatch(first)
    if match is None:
        _bad_request_line(first)
    method, target, minor = match.groups()  # type: ignore[union-attr]
    if len(target) > MAX_TARGET_BYTES:
        raise BadMessage(414, "uri_too_long")
    fields = parse_fields(lines)
    authority = fields.host
    if target[0] != 0x2F:
        target, authority = _other_form(method, target, authority)
    if minor == b"0":
        if fields.chunked:
            raise BadMessage(400, "transfer_encoding_in_http_1_0")
        fields.close = not fields.keep_alive or fields.close
        fields.upgrade = b""
    elif fields.host is None:
        raise BadMessage(400, "no_host")
    if fields.expect and fields.expect != b"100-continue":
        raise BadMessage(417, "unknown_expectation")
    upgrade = fields.upgrade if fields.upgrade == b"websocket" else b""
    if upgrade and (fields.chunked or fields.length):
        raise BadMessage(400, "upgrade_with_body")
    head = RequestHead(
        method, b"http", authority or b"", target, fields.headers, upgrade, fields.length,
        11 if minor == b"1" else 10, bool(fields.expect) and minor == b"1",
    )  # fmt: skip
    if fields.known and len(block) <= _MAX_HEAD_KNOWN:
        if len(_requests) >= _MAX_HEADS:
            _requests.clear()
        _requests[block] = head.copy(), fields
    return head, fields


def _bad_request_line(first: bytes) -> None:
    if len(first) > MAX_TARGET_BYTES:
        raise BadMessage(414, "uri_too_long")
    if _ANY_VERSION.fullmatch(first) is not None:
        raise BadMessage(505 if b" HTTP/1." not in first else 400, "http_version_not_supported")
    raise BadMessage(400, "bad_request_line")


def _other_form(method: bytes, target: bytes, authority: bytes | None) -> tuple[bytes, bytes | None]:
    """Targets that do not begin with `/`: of OPTIONS for the server, and whole URLs."""
    if method == b"CONNECT":
        raise BadMessage(405, "connect_refused")
    if target == b"*":
        if method != b"OPTIONS":
            raise BadMessage(400, "bad_target")
        return target, authority
    match = _ABSOLUTE.fullmatch(target)
    if match is None or AUTHORITY.fullmatch(match[1]) is None:
        raise BadMessage(400, "bad_target")
    rest = match[2] or b"/"
    return (rest if rest[0] == 0x2F else b"/" + rest), match[1]


def response_head(block: bytes) -> tuple[ResponseHead, Fields]:
    """A response's head from its bytes up to the empty line. Raises BadMessage."""
    seen = _responses.get(block)
    if seen is not None:
        held, fields = seen
        return ResponseHead(held.status, held.headers.copy(), held.length, held.reason), fields
    first, *lines = block.split(b"\r\n")
    match = _STATUS_LINE.fullmatch(first)
    if match is None:
        raise BadMessage(502, "bad_status_line")
    fields = parse_fields(lines)
    if match[1] == b"0":
        if fields.chunked:
            raise BadMessage(502, "transfer_encoding_in_http_1_0")
        fields.close = not fields.keep_alive or fields.close
    head = ResponseHead(int(match[2]), fields.headers, fields.length, match[3] or b"")
    if fields.known and len(block) <= _MAX_HEAD_KNOWN:
        if len(_responses) >= _MAX_HEADS:
            _responses.clear()
        held = ResponseHead(head.status, head.headers.copy(), head.length, head.reason)
        _responses[block] = held, fields
    return head, fields

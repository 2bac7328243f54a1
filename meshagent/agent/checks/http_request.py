"""The request of an HTTP check, compiled to bytes once.

Source: surface row K11; the headers are those that Consul's checks send (User-Agent, Accept, no keep-alive), the order
and casing are free. RFC 9112 section 3 for the form, RFC 9110 section 15.4 and Go's client for redirects: 301, 302 and
303 turn into a GET, 307 and 308 repeat, ten requests at most, credentials do not follow to another host.

Not done, unlike Go's client: `Accept-Encoding: gzip` is not sent, so bodies come as they are; `HTTP_PROXY` is not
read; HTTP/2 is not offered over TLS.

What may be changed here: nothing of the default headers; some targets look at the User-Agent.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

import msgspec

from meshagent.agent.checks.dial import Target, make_target
from meshagent.agent.checks.probe import ProbeFailed

__all__ = ["MAX_REQUESTS", "Request", "compile_request", "operation", "redirected"]

USER_AGENT = "Consul Health Check"
ACCEPT = "text/plain, text/*, */*"
#: Go's client gives up when it would send the eleventh.
MAX_REQUESTS = 10

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_BAD_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_BAD_HOST = re.compile(r"[\x00-\x20\x7f\"<>\\^`{|}]")
#: Set by us, or by the form of the message.
_OURS = frozenset({"host", "content-length", "transfer-encoding", "trailer", "connection"})
_SECRETS = frozenset({"authorization", "www-authenticate", "cookie", "cookie2"})
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Request(msgspec.Struct, frozen=True, gc=False):
    """One request, ready to send."""

    method: str
    url: str
    target: Target
    tls: bool
    headers: tuple[tuple[str, str], ...]
    """As configured, without the ones we always set."""
    host: str
    """A configured Host header, or empty."""
    body: bytes
    wire: bytes


def compile_request(method: str, url: str, header: Mapping[str, Sequence[str]], body: str) -> Request:
    """The first request of a check.

    Raises:
        ProbeFailed: the URL, the method or a header cannot be sent; worded as Go does.
    """
    method = method or "GET"
    if not _TOKEN.match(method):
        raise ProbeFailed(f"net/http: invalid method {json.dumps(method, ensure_ascii=False)}")
    headers: list[tuple[str, str]] = []
    host = ""
    for name, values in header.items():
        if name.lower() == "host":
            host = next(iter(values), "")
            _check_headers([(name, host)], method, url)
        if name.lower() in _OURS:
            continue
        headers.extend((name, value) for value in values)
    _check_headers(headers, method, url)
    return _build(method, url, tuple(headers), host, body.encode("utf-8", "replace"))


def redirected(request: Request, code: int, location: str) -> Request:
    """The request that follows a 3xx answer with a Location.

    Raises:
        ProbeFailed: the new URL cannot be used.
    """
    url = urljoin(request.url, location)
    keep = code in (307, 308)
    method = request.method if keep or request.method == "HEAD" else "GET"
    body = request.body if keep else b""
    headers = request.headers
    host = request.host if not urlsplit(location).netloc else ""
    if not _same_site(_split(request.url).hostname or "", _split(url).hostname or ""):
        headers = tuple(pair for pair in headers if pair[0].lower() not in _SECRETS)
    return _build(method, url, headers, host, body)


def _build(method: str, url: str, headers: tuple[tuple[str, str], ...], host: str, body: bytes) -> Request:
    parts = _split(url)
    if parts.scheme not in _DEFAULT_PORTS:
        quoted = json.dumps(parts.scheme)
        raise ProbeFailed(f"{operation(method, url)}: unsupported protocol scheme {quoted}")
    if not parts.hostname:
        raise ProbeFailed(f"{operation(method, url)}: http: no Host in request URL")
    try:
        port = parts.port
    except ValueError:
        raise ProbeFailed(f"parse {json.dumps(url)}: invalid port after host") from None
    hostname = parts.hostname
    if bad := _BAD_HOST.search(hostname):
        raise ProbeFailed(f"parse {json.dumps(url)}: invalid character {json.dumps(bad[0])} in host name")
    if not hostname.isascii():
        try:
            hostname = hostname.encode("idna").decode()
        except UnicodeError:
            raise ProbeFailed(f"{operation(method, url)}: http: invalid Host") from None
    default = _DEFAULT_PORTS[parts.scheme]
    target = make_target(url, hostname, default if port is None else port)
    authority = f"[{hostname}]" if ":" in hostname else hostname
    if port is not None:
        authority += f":{port}"
    names = {name.lower() for name, _ in headers}
    lines = [f"{method} {_path(parts)} HTTP/1.1", f"Host: {host or authority}"]
    if "user-agent" not in names:
        lines.append(f"User-Agent: {USER_AGENT}")
    if "accept" not in names:
        lines.append(f"Accept: {ACCEPT}")
    if parts.username is not None and "authorization" not in names:
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        lines.append(f"Authorization: Basic {base64.b64encode(user).decode()}")
    lines.extend(f"{name}: {value}" for name, value in headers)
    if body or method in ("POST", "PUT", "PATCH"):
        lines.append(f"Content-Length: {len(body)}")
    lines.append("Connection: close\r\n\r\n")
    wire = "\r\n".join(lines).encode("utf-8", "replace") + body
    return Request(method, url, target, parts.scheme == "https", headers, host, body, wire)


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise ProbeFailed(f"parse {json.dumps(url, ensure_ascii=False)}: {error}") from None


def _path(parts: SplitResult) -> str:
    """The request target, with what may not stand on a request line escaped."""
    path = quote(parts.path or "/", safe="/%!$&'()*+,;=:@-._~[]")
    if parts.query:
        path += "?" + quote(parts.query, safe="/%!$&'()*+,;=:@-._~?[]\"<>^`{|}\\")
    return path


def _check_headers(headers: Sequence[tuple[str, str]], method: str, url: str) -> None:
    for name, value in headers:
        quoted = json.dumps(name, ensure_ascii=False)
        if not _TOKEN.match(name):
            raise ProbeFailed(f"{operation(method, url)}: net/http: invalid header field name {quoted}")
        if _BAD_VALUE.search(value):
            raise ProbeFailed(f"{operation(method, url)}: net/http: invalid header field value for {quoted}")


def operation(method: str, url: str) -> str:
    """`Get "http://host/"`: how Go begins the error of a request."""
    return f"{method[:1].upper()}{method[1:].lower()} {json.dumps(_without_password(url), ensure_ascii=False)}"


def _without_password(url: str) -> str:
    if "@" not in url:
        return url
    return re.sub(r"^([a-zA-Z][a-zA-Z0-9+.-]*://[^/?#@:]*):[^/?#]*@", r"\1:xxxxx@", url)


def _same_site(old: str, new: str) -> bool:
    """Whether credentials for `old` may go to `new`: the same host or one below it."""
    return new == old or new.endswith("." + old)

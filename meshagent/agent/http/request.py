"""What a client asked: method, decoded path, query parameters, headers, body.

Handlers get a `Request` and nothing of the transport. Parameters follow Go's url.ParseQuery: a pair with a bad escape
or a semicolon is dropped, `+` is a space, the first value of a repeated name counts.

Source: surface rows C1, C8-C12, C15, C19, C22, C23; pkg.go.dev/net/url. What may change here: further options that
several endpoints share; options of one endpoint stay with that endpoint.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meshagent.agent.acl.access import OPEN, Access
from meshagent.durations import parse_duration
from meshagent.errors import BadRequest, InternalError

if TYPE_CHECKING:
    from meshagent.agent.acl.resolver import Identity

__all__ = ["BadOption", "CacheControl", "Query", "ReadOptions", "Request", "parse_bool", "parse_query", "unescape"]

_BAD_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2})")
_ESCAPE = re.compile(rb"%([0-9a-fA-F]{2})")
_MAX_INDEX = 2**64 - 1
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


def unescape(text: str) -> str:
    """Undo percent-escapes; bytes that are not UTF-8 become U+FFFD.

    Raises:
        ValueError: `%` without two hexadecimal digits.
    """
    if "%" not in text:
        return text
    if _BAD_ESCAPE.search(text):
        raise ValueError(f"invalid URL escape in {text!r}")
    raw = _ESCAPE.sub(lambda match: bytes((int(match[1], 16),)), text.encode("utf-8", "surrogateescape"))
    return raw.decode("utf-8", "replace")


def parse_bool(text: str) -> bool:
    """Go's strconv.ParseBool.

    Raises:
        ValueError: with Go's wording.
    """
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(f'strconv.ParseBool: parsing "{text}": invalid syntax')


class BadOption(InternalError):
    """A parameter that Consul refuses with 500 before it reads anything: such an answer has no meta headers."""


class Query:
    """The parameters of a query string, in order."""

    __slots__ = ("_options", "_values", "raw")

    def __init__(self, raw: str = "") -> None:
        self.raw = raw
        self._options: ReadOptions | None = None
        self._values: dict[str, list[str]] = {}
        if raw:
            self._parse(raw)

    def _parse(self, raw: str) -> None:
        values = self._values
        for pair in raw.split("&"):
            if not pair or ";" in pair:
                continue
            name, _, value = pair.partition("=")
            if "%" in pair or "+" in pair:
                try:
                    name, value = unescape(name.replace("+", " ")), unescape(value.replace("+", " "))
                except ValueError:
                    continue
            held = values.get(name)
            if held is None:
                values[name] = [value]
            else:
                held.append(value)

    def get(self, name: str) -> str | None:
        """The first value, "" for `?name`, None when absent."""
        held = self._values.get(name)
        return held[0] if held else None

    def all(self, name: str) -> list[str]:
        """All values in order, [] when absent."""
        return self._values.get(name, [])

    def has(self, name: str) -> bool:
        """Whether the parameter is there, with or without a value."""
        return name in self._values

    def names(self) -> tuple[str, ...]:
        """The names that occur, in order of first appearance."""
        return tuple(self._values)

    def __bool__(self) -> bool:
        return bool(self._values)


#: Parsed queries by their text: clients repeat themselves. None of them holds a token.
_queries: dict[str, Query] = {}
_MAX_QUERIES = 1024
_MAX_REMEMBERED = 200


def parse_query(raw: str) -> Query:
    """The query of a text; the same object for the same text, as long as it is remembered."""
    query = _queries.get(raw)
    if query is None:
        query = Query(raw)
        if len(raw) <= _MAX_REMEMBERED and not query.has("token"):
            if len(_queries) >= _MAX_QUERIES:
                _queries.clear()
            _queries[raw] = query
    return query


@dataclass(frozen=True, slots=True)
class CacheControl:
    """The directives of `Cache-Control` that the agent cache obeys (surface row C19); seconds, None when absent."""

    max_age_s: float | None = None
    must_revalidate: bool = False
    stale_if_error_s: float | None = None


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """The parameters every read understands.

    `index` 0 does not block; `wait_ns` 0 means the default time. `consistency` is "" (default), "stale", "consistent"
    or "leader". `node_meta` holds what all must match.
    """

    index: int = 0
    wait_ns: int = 0
    hash: str = ""
    consistency: str = ""
    max_stale_ns: int = 0
    cached: bool = False
    cache_control: CacheControl = CacheControl()
    filter: str = ""
    near: str = ""
    node_meta: tuple[tuple[str, str], ...] = ()
    datacenter: str = ""

    @property
    def blocking(self) -> bool:
        """Whether the read may have to wait."""
        return self.index > 0


_PLAIN = ReadOptions()


class Request:
    """One request. `path` is decoded; `name` is its rest after a prefix route (and before its suffix), decoded.

    `remote` is the caller's IP address, or "" on a Unix socket. `asker` is the node whose agent was asked, "" for this
    one. `token` is a secret: never log it; `access` is what it may do. `headers` maps names without regard to case.
    `pieces` gives the body of a route that takes uploads, once, as it comes.
    """

    __slots__ = (
        "_options", "access", "asker", "body", "headers", "identity", "memo", "method", "name", "path", "pieces",
        "query", "remote", "token",
    )  # fmt: skip

    def __init__(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        name: str = "",
        remote: str = "127.0.0.1",
        token: str = "",
        asker: str = "",
    ) -> None:
        self.method = method
        self.path = path
        self.name = name
        self.query = query if query is not None else Query()
        self.headers: Mapping[str, str] = headers if headers is not None else {}
        self.body = body
        self.pieces: AsyncIterator[bytes] | None = None
        self.remote = remote
        self.token = token
        self.asker = asker
        self.access: Access = OPEN
        #: The resolved token, when this agent resolves tokens.
        self.identity: Identity | None = None
        #: What a read keeps from one run to the next of the same question (see `fragments.py`).
        self.memo: dict[Any, Any] = {}
        self._options: ReadOptions | None = None

    @property
    def given_token(self) -> str:
        """The token that came with the request (surface row C8): parameter, header, bearer; "" when there is none."""
        token = self.query.get("token") or self.headers.get("X-Consul-Token")
        if token:
            return token
        scheme, _, value = self.headers.get("Authorization", "").partition(" ")
        return value.strip() if scheme.lower() == "bearer" else ""

    @property
    def options(self) -> ReadOptions:
        """The shared read parameters.

        Raises:
            BadRequest: with Consul's words, naming the bad parameter.
        """
        if self._options is None:
            query = self.query
            if query._options is None:
                self._options = _read_options(query, self.headers)
                if not self._options.cached:  # then no header has a say
                    query._options = self._options
            else:
                self._options = query._options
        return self._options


def _read_options(query: Query, headers: Mapping[str, str]) -> ReadOptions:
    if not query:
        return _PLAIN
    wait_ns, index = _blocking(query)
    consistency, max_stale_ns = _consistency(query)
    cached = query.has("cached")
    return ReadOptions(
        index=index,
        wait_ns=wait_ns,
        hash=query.get("hash") or "",
        consistency=consistency,
        max_stale_ns=max_stale_ns,
        cached=cached,
        cache_control=_cache_control(headers.get("Cache-Control", "")) if cached else CacheControl(),
        filter=query.get("filter") or "",
        near=query.get("near") or "",
        node_meta=tuple(_pair(text) for text in query.all("node-meta")),
        datacenter=query.get("datacenter") or query.get("dc") or "",
    )


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition(":")
    return name, value


def _blocking(query: Query) -> tuple[int, int]:
    wait_ns = index = 0
    wait = query.get("wait")
    if wait:
        try:
            wait_ns = parse_duration(wait)
        except ValueError:
            raise BadRequest("Invalid wait time") from None
    text = query.get("index")
    if text:
        if not text.isascii() or not text.isdigit() or len(text) > 20 or int(text) > _MAX_INDEX:
            raise BadRequest("Invalid index")
        index = int(text)
    return wait_ns, index


def _consistency(query: Query) -> tuple[str, int]:
    max_stale_ns = 0
    max_stale = query.get("max_stale")
    stale = query.has("stale")
    consistent = query.has("consistent")
    if max_stale:
        try:
            max_stale_ns = parse_duration(max_stale)
        except ValueError:
            raise BadRequest(f'Invalid max_stale value "{max_stale}"') from None
        stale = True
    if stale and consistent:
        raise BadRequest("Cannot specify ?stale with ?consistent, conflicting semantics.")
    if query.has("cached") and consistent:
        raise BadRequest("Cannot specify ?cached with ?consistent, conflicting semantics.")
    if consistent:
        return "consistent", 0
    if stale:
        return "stale", max_stale_ns
    return ("leader" if query.has("leader") else ""), 0


def _cache_control(text: str) -> CacheControl:
    max_age_s: float | None = None
    stale_if_error_s: float | None = None
    must_revalidate = False
    for directive in text.split(","):
        name, _, value = directive.strip().lower().partition("=")
        if name == "must-revalidate":
            must_revalidate = True
        elif name == "max-age":
            max_age_s = _seconds(value)
        elif name == "stale-if-error":
            stale_if_error_s = _seconds(value)
    return CacheControl(max_age_s, must_revalidate, stale_if_error_s)


def _seconds(text: str) -> float:
    if not text.isascii() or not text.isdigit():
        raise BadRequest("Invalid Cache-Control header.")
    return float(text)

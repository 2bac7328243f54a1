"""Which virtual host a request is for, and what a host does to its routes. Pure.

An exact name goes before `*.example.com` (the longest first), that before `web.ingress.*` (the longest first), that
before `*`. A name counts with and without the port that the request names.

Source: Envoy's VirtualHost.domains; surface rows M27, M31. What may change here: further things that a host says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

import msgspec

from meshagent.catalog.entries.entry import HeaderModifiers
from meshagent.catalog.entries.service_intentions import IntentionJWT
from meshagent.connect.proxy.http.hooks import Filter
from meshagent.connect.proxy.http.policy import HeaderEdits
from meshagent.connect.proxy.http.routes import Routes, edits_of

__all__ = ["Hosts", "after", "host_routes"]

T = TypeVar("T")


class Hosts(Generic[T]):
    """What belongs to a host name, by patterns; of two equal ones the first counts."""

    def __init__(self, rows: Iterable[tuple[tuple[str, ...], T]]) -> None:
        self._exact: dict[bytes, T] = {}
        self._suffixes: dict[bytes, T] = {}
        self._prefixes: dict[bytes, T] = {}
        self._any: T | None = None
        for patterns, value in rows:
            for pattern in patterns:
                self._add(pattern.lower().encode(), value)
        #: The longest first.
        self._by_suffix = sorted(self._suffixes.items(), key=lambda one: -len(one[0]))
        self._by_prefix = sorted(self._prefixes.items(), key=lambda one: -len(one[0]))

    def _add(self, pattern: bytes, value: T) -> None:
        if pattern == b"*":
            self._any = value if self._any is None else self._any
        elif pattern.startswith(b"*"):
            self._suffixes.setdefault(pattern[1:], value)
        elif pattern.endswith(b"*"):
            self._prefixes.setdefault(pattern[:-1], value)
        else:
            self._exact.setdefault(pattern, value)

    def find(self, authority: bytes) -> T | None:
        """What belongs to a request's authority, None when nothing does."""
        authority = authority.lower()
        found = self._named(authority)
        if found is not None:
            return found
        host, colon, port = authority.rpartition(b":")
        if colon and port.isdigit():
            found = self._named(host)
        return self._any if found is None else found

    def _named(self, host: bytes) -> T | None:
        found = self._exact.get(host)
        if found is not None:
            return found
        for suffix, value in self._by_suffix:
            if host.endswith(suffix) and len(host) > len(suffix):
                return value
        for prefix, value in self._by_prefix:
            if host.startswith(prefix) and len(host) > len(prefix):
                return value
        return None


def host_routes(
    routes: Routes,
    request: HeaderModifiers | None,
    response: HeaderModifiers | None,
    tokens: tuple[IntentionJWT | None, ...],
    demand: Callable[[IntentionJWT], Filter],
) -> Routes:
    """The routes of a host, with what the host itself changes, and the tokens that each demands."""
    asked, answered = edits_of(request), edits_of(response)
    if not asked and not answered and not tokens:
        return routes
    found = []
    for at, (matcher, route) in enumerate(routes.rows):
        wanted = tokens[at] if at < len(tokens) else None
        route = msgspec.structs.replace(
            route,
            request=after(route.request, asked),
            response=after(route.response, answered),
            check=demand(wanted) if wanted is not None else None,
        )
        found.append((matcher, route))
    return Routes(found)


def after(first: HeaderEdits, then: HeaderEdits) -> HeaderEdits:
    """Two edits, one after the other, as one."""
    if not first or not then:
        return first or then
    gone = then.remove.union(name for name, _ in then.set)
    return HeaderEdits(
        add=(*(one for one in first.add if one[0] not in gone), *then.add),
        set=(*(one for one in first.set if one[0] not in gone), *then.set),
        remove=first.remove | then.remove,
    )

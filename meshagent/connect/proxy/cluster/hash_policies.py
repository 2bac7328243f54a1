"""What of a request is hashed, so that equal ones go to the same instance.

Each policy adds its part; a terminal one ends the list when it had something. A cookie that is missing is made (when it
has a TTL or is a session's) and given to the client with the answer.

Source: surface row M25 (`HashPolicies`); Envoy's route API, `RouteAction.HashPolicy`. What may change here: a field is
a function in `_FIELDS`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Protocol

from meshagent.catalog.entries.service_resolver import HashPolicy
from meshagent.connect.proxy.cluster.hashing import combined, hash64

__all__ = ["Hashed", "HashedRequest", "hash_of"]

#: (hash or None for chance, a Set-Cookie value or "")
Hashed = tuple[int | None, str]


class HashedRequest(Protocol):
    """What a request must tell. Names are in lower case."""

    @property
    def source_ip(self) -> str:
        """The client's address, "" when unknown."""

    def header(self, name: str) -> str | None:
        """The first value of a header."""

    def query(self, name: str) -> str | None:
        """The first value of a query parameter."""


def hash_of(policies: tuple[HashPolicy, ...], request: HashedRequest, rng: random.Random) -> Hashed:
    """The hash of a request by these policies."""
    total: int | None = None
    set_cookie = ""
    for policy in policies:
        if policy.source_ip:
            value: str | None = request.source_ip or None
        elif policy.field == "cookie":
            value = _cookie(request.header("cookie") or "", policy.field_value)
            made = policy.cookie_config
            if value is None and made is not None and (made.session or made.ttl):
                value = f"{rng.getrandbits(64):016x}"
                set_cookie = _set_cookie(policy, value)
        else:
            value = _FIELDS[policy.field](request, policy.field_value)
        if value is not None:
            part = hash64(value.encode("utf-8", "surrogateescape"))
            total = part if total is None else combined(total, part)
            if policy.terminal:
                break
    return total, set_cookie


_FIELDS: dict[str, Callable[[HashedRequest, str], str | None]] = {
    "header": lambda request, name: request.header(name.lower()),
    "query_parameter": lambda request, name: request.query(name),
}


def _cookie(header: str, name: str) -> str | None:
    for part in header.split(";"):
        key, found, value = part.strip().partition("=")
        if found and key == name:
            return value.strip('"')
    return None


def _set_cookie(policy: HashPolicy, value: str) -> str:
    made = policy.cookie_config
    text = f'{policy.field_value}="{value}"'
    if made is not None and made.ttl:
        text += f"; Max-Age={max(1, made.ttl // 1_000_000_000)}"
    if made is not None and made.path:
        text += f"; Path={made.path}"
    return f"{text}; HttpOnly"

"""Permissions of an intention: whether one HTTP request is allowed, and which permission says so.

Pure: a request's method, path and headers come in. The first permission whose every condition matches decides; where
none does, the default does. Regular expressions are RE2 and match the whole value, and of several headers of one name
it is enough that one fits, as in Envoy. `connect/envoy/rbac.py` renders the same decision.

Source: surface rows M26, M51, M53; developer.hashicorp.com/consul/docs/connect/config-entries/service-intentions
(permissions); Envoy's RouteMatcher and HeaderMatcher. What may change here: further conditions.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from meshagent.catalog.entries.service_intentions import (
    IntentionJWT,
    Permission,
    PermissionHeader,
    PermissionHTTP,
)
from meshagent.connect.intentions import Decision, Default, Intention, decide

__all__ = ["HttpRequest", "Tokens", "decide_request", "matches"]

#: Whether a request has a valid token of one of the providers, with the claims.
Tokens = Callable[[IntentionJWT], bool]


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """What is asked for. `path` has no query; headers by name in lower case: the value, or several in their order."""

    method: str = "GET"
    path: str = "/"
    headers: dict[str, str | tuple[str, ...]] = field(default_factory=dict)


def decide_request(
    intentions: Iterable[Intention],
    source: str,
    destination: str,
    request: HttpRequest,
    default: Default,
    peer: str = "",
    tokens: Tokens | None = None,
) -> Decision:
    """Whether `source` may send a request to `destination`; `intentions` come the most exact first.

    `tokens` says whether the request carries a good one for a requirement; without it tokens are not looked at (a
    question about rules, not a request). What needs a token and has none does not allow.
    """
    decision = decide(intentions, source, destination, default, peer)
    one = decision.intention
    if one is None:
        return decision
    if tokens is not None and one.jwt is not None and (decision.allowed or one.permissions) and not tokens(one.jwt):
        return Decision(False, f"{decision.reason}: no valid token", one)
    if not one.permissions:
        return decision
    for at, permission in enumerate(one.permissions):
        if permission.http is None or matches(permission.http, request):
            allowed = permission.action == "allow"
            if tokens is not None and permission.jwt is not None and not tokens(permission.jwt):
                if allowed:
                    return Decision(False, f"{decision.reason}: Permissions[{at}] matches: no valid token", one)
                break  # a denial of those who have the token; what comes behind it is not asked either
            reason = (
                f"{decision.reason}: Permissions[{at}] matches (Action: {permission.action.upper()}{_jwt(permission)})"
            )
            return Decision(allowed, reason, one)
    return Decision(default.allow, f"{decision.reason}: no permission matches, {default.reason}", one)


def _jwt(permission: Permission) -> str:
    if permission.jwt is None or not permission.jwt.providers:
        return ""
    return ", with a token of " + " or ".join(provider.name for provider in permission.jwt.providers)


def matches(http: PermissionHTTP, request: HttpRequest) -> bool:
    """Whether all conditions hold."""
    if http.path_exact and request.path != http.path_exact:
        return False
    if http.path_prefix and not request.path.startswith(http.path_prefix):
        return False
    if http.path_regex and not _whole(http.path_regex)(request.path):
        return False
    if http.methods and request.method not in http.methods:
        return False
    return all(header_matches(header, request.headers) for header in http.header)


def header_matches(header: PermissionHeader, headers: dict[str, str | tuple[str, ...]]) -> bool:
    """Whether the condition on one header holds. One that is not there fulfils only "not present"."""
    found = headers.get(header.name.lower())
    if header.present:
        return (found is not None) != header.invert
    if found is None:
        return False
    return any(_value(header, value) for value in ((found,) if isinstance(found, str) else found)) != header.invert


def _value(header: PermissionHeader, value: str) -> bool:
    if header.regex:
        return bool(_whole(header.regex)(value))
    wanted: Sequence[str] = (header.exact, header.prefix, header.suffix, header.contains)
    if header.ignore_case:
        value = _lower(value)
        wanted = [_lower(text) for text in wanted]
    exact, prefix, suffix, contains = wanted
    if exact:
        return value == exact
    if prefix:
        return value.startswith(prefix)
    if suffix:
        return value.endswith(suffix)
    return bool(contains) and contains in value


def _lower(text: str) -> str:
    """ASCII alone: other letters keep their case, as in Envoy."""
    return text.encode("utf-8", "surrogateescape").lower().decode("utf-8", "surrogateescape")


@functools.lru_cache(maxsize=1024)
def _whole(pattern: str) -> Callable[[str], Any]:
    """The match of a whole text; an expression that is not valid matches nothing."""
    import re2  # heavy: only where an expression is used

    options = re2.Options()
    options.log_errors = False
    try:
        match: Callable[[str], Any] = re2.compile(pattern, options).fullmatch
    except (re2.error, UnicodeEncodeError):
        return lambda _: None
    return match

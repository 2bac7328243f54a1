"""`http-route` and `tcp-route`: what an api-gateway's listeners lead to.

Source: surface rows M32, M33; developer.hashicorp.com/consul/docs/connect/config-entries/http-route and tcp-route.
What may change here: fields are added with a default.
"""

from __future__ import annotations

import msgspec

from meshagent.catalog.entries.api_gateway import ParentRef, Status
from meshagent.catalog.entries.entry import Entry, Nanoseconds, Part, changed
from meshagent.catalog.entries.service_intentions import IntentionJWT
from meshagent.catalog.model import always

__all__ = ["HTTPRoute", "RouteService", "TCPRoute"]

_METHODS = frozenset({"", "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
_HEADER_MATCHES = frozenset({"exact", "prefix", "present", "regex", "suffix"})
_QUERY_MATCHES = frozenset({"exact", "present", "regex"})


class HeaderFilter(Part, frozen=True, kw_only=True):
    """Headers to add, set and remove."""

    add: dict[str, str] | None = always(None)
    remove: tuple[str, ...] | None = always(None)
    set: dict[str, str] | None = always(None)


class URLRewrite(Part, frozen=True, kw_only=True):
    """The path that takes the place of the matched one."""

    path: str = always("")


class RetryFilter(Part, frozen=True, kw_only=True):
    """When a request is tried again."""

    num_retries: int = always(0)
    retry_on: tuple[str, ...] | None = always(None)
    retry_on_status_codes: tuple[int, ...] | None = always(None)
    retry_on_connect_failure: bool | None = always(None)


class TimeoutFilter(Part, frozen=True, kw_only=True):
    """How long a request may take."""

    request_timeout: Nanoseconds = always(0)
    idle_timeout: Nanoseconds = always(0)


class Filters(Part, frozen=True, kw_only=True):
    """What is done to a request."""

    headers: tuple[HeaderFilter, ...] | None = always(None)
    url_rewrite: URLRewrite | None = always(None)
    retry_filter: RetryFilter | None = always(None)
    timeout_filter: TimeoutFilter | None = always(None)
    jwt: IntentionJWT | None = always(None)


class ResponseFilters(Part, frozen=True, kw_only=True):
    """What is done to a response."""

    headers: tuple[HeaderFilter, ...] | None = always(None)


class ValueMatch(Part, frozen=True, kw_only=True):
    """A header or query parameter."""

    match: str = always("")
    name: str = always("")
    value: str = always("")


class PathMatch(Part, frozen=True, kw_only=True):
    """The path: exact, prefix or regex."""

    match: str = always("")
    value: str = always("")


class RuleMatch(Part, frozen=True, kw_only=True):
    """All that is set must match."""

    headers: tuple[ValueMatch, ...] | None = always(None)
    method: str = always("")
    path: PathMatch = always(PathMatch())
    query: tuple[ValueMatch, ...] | None = always(None)

    def problem(self) -> str:
        if self.method not in _METHODS:
            return f'Method contains an invalid method "{self.method}"'
        kind, value = self.path.match, self.path.value
        if kind not in {"exact", "prefix", "regex"}:
            return "Path, match type should be one of exact, prefix, or regex"
        if kind != "regex" and not value.startswith("/"):
            return f"Path, {kind} type match doesn't start with '/': \"{value}\""
        for at, header in enumerate(self.headers or ()):
            if header.match not in _HEADER_MATCHES:
                return f"Headers[{at}], match type should be one of present, exact, prefix, suffix, or regex"
            if not header.name:
                return f"Headers[{at}], missing required Name field"
        for at, query in enumerate(self.query or ()):
            if query.match not in _QUERY_MATCHES:
                return f"Query[{at}], match type should be one of present, exact, or regex"
            if not query.name:
                return f"Query[{at}], missing required Name field"
        return ""


class RouteService(Part, frozen=True, kw_only=True):
    """A service and its share."""

    name: str = always("")
    weight: int = always(0)
    filters: Filters = always(Filters())
    response_filters: ResponseFilters = always(ResponseFilters())


class Rule(Part, frozen=True, kw_only=True):
    """If any of `matches` holds, the request goes to one of `services`."""

    filters: Filters = always(Filters())
    response_filters: ResponseFilters = always(ResponseFilters())
    matches: tuple[RuleMatch, ...] | None = always(None)
    services: tuple[RouteService, ...] | None = always(None)


class HTTPRoute(Entry, frozen=True, kw_only=True, tag="http-route"):
    """HTTP routing behind `parents`."""

    parents: tuple[ParentRef, ...] | None = always(None)
    rules: tuple[Rule, ...] | None = always(None)
    hostnames: tuple[str, ...] | None = always(None)
    status: Status = always(Status())

    def normalised(self) -> HTTPRoute:
        rules = tuple(map(_normalised, self.rules)) if self.rules is not None else None
        result: HTTPRoute = changed(self, parents=_parents(self.parents), rules=rules)
        return result

    def problem(self) -> str:
        for at, rule in enumerate(self.rules or ()):
            for which, match in enumerate(rule.matches or ()):
                found = match.problem()
                if found:
                    return f"Rule[{at}], Match[{which}], {found}"
        return _parent_problem(self.parents)

    def services(self) -> tuple[str, ...]:
        """The services it leads to."""
        return tuple(dict.fromkeys(one.name for rule in self.rules or () for one in rule.services or ()))


class TCPService(Part, frozen=True, kw_only=True):
    """The service of a TCP route."""

    name: str = always("")


class TCPRoute(Entry, frozen=True, kw_only=True, tag="tcp-route"):
    """One service behind `parents`."""

    parents: tuple[ParentRef, ...] | None = always(None)
    targets: tuple[TCPService, ...] | None = msgspec.field(default_factory=lambda: None, name="Services")
    status: Status = always(Status())

    def normalised(self) -> TCPRoute:
        result: TCPRoute = changed(self, parents=_parents(self.parents))
        return result

    def problem(self) -> str:
        if len(self.targets or ()) > 1:
            return "tcp-route currently only supports one service"
        return _parent_problem(self.parents)

    def services(self) -> tuple[str, ...]:
        """The services it leads to."""
        return tuple(one.name for one in self.targets or ())


def _normalised(rule: Rule) -> Rule:
    matches = tuple(
        changed(
            match,
            method=match.method.upper(),
            path=match.path if match.path.match or match.path.value else PathMatch(match="prefix", value="/"),
        )
        for match in rule.matches or ()
    )
    services = tuple(changed(one, weight=one.weight if one.weight > 0 else 1) for one in rule.services or ())
    result: Rule = changed(
        rule,
        matches=matches if rule.matches is not None else None,
        services=services if rule.services is not None else None,
    )
    return result


def _parents(parents: tuple[ParentRef, ...] | None) -> tuple[ParentRef, ...] | None:
    if parents is None:
        return None
    return tuple(changed(parent, kind=parent.kind or "api-gateway") for parent in parents)


def _parent_problem(parents: tuple[ParentRef, ...] | None) -> str:
    seen = set()
    for parent in parents or ():
        if parent.kind != "api-gateway":
            return f"unsupported parent kind: \"{parent.kind}\", must be 'api-gateway'"
        if not parent.name:
            return "parent name is required"
        if parent in seen:
            return "route parents must be unique"
        seen.add(parent)
    return ""

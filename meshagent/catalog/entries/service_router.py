"""`service-router`: which destination a request goes to, by path, headers, query and method.

Source: surface row M23; developer.hashicorp.com/consul/docs/connect/config-entries/service-router. What may change
here: fields are added with a default.
"""

from __future__ import annotations

from meshagent.catalog.entries.entry import Entry, GoDuration, HeaderModifiers, Part, changed, required

__all__ = ["Route", "RouteDestination", "RouteMatch", "ServiceRouter"]

_RETRY_ON = frozenset(
    [
        "5xx",
        "gateway-error",
        "reset",
        "connect-failure",
        "envoy-ratelimited",
        "retriable-4xx",
        "refused-stream",
        "cancelled",
        "deadline-exceeded",
        "internal",
        "resource-exhausted",
        "unavailable",
    ]
)


class HeaderMatch(Part, frozen=True, kw_only=True):
    """One header; exactly one of the ways is set."""

    name: str = ""
    present: bool = False
    exact: str = ""
    prefix: str = ""
    suffix: str = ""
    regex: str = ""
    invert: bool = False

    @property
    def ways(self) -> int:
        """How many ways to match are set."""
        return sum(map(bool, (self.present, self.exact, self.prefix, self.suffix, self.regex)))


class QueryMatch(Part, frozen=True, kw_only=True):
    """One query parameter; exactly one of the ways is set."""

    name: str = ""
    present: bool = False
    exact: str = ""
    regex: str = ""


class HTTPMatch(Part, frozen=True, kw_only=True):
    """All that is set must match; at most one of the paths is."""

    path_exact: str = ""
    path_prefix: str = ""
    path_regex: str = ""
    case_insensitive: bool = False
    header: tuple[HeaderMatch, ...] = ()
    query_param: tuple[QueryMatch, ...] = ()
    methods: tuple[str, ...] = ()

    def problem(self) -> str:
        if sum(map(bool, (self.path_exact, self.path_prefix, self.path_regex))) > 1:
            return " should only contain at most one of PathExact, PathPrefix, or PathRegex"
        for field, path in (("PathExact", self.path_exact), ("PathPrefix", self.path_prefix)):
            if path and not path.startswith("/"):
                return f" {field} doesn't start with '/': \"{path}\""
        for at, header in enumerate(self.header):
            if not header.name:
                return f" Header[{at}] missing required Name field"
            if header.ways != 1:
                return f" Header[{at}] should only contain one of Present, Exact, Prefix, Suffix, or Regex"
        for at, query in enumerate(self.query_param):
            if not query.name:
                return f" QueryParam[{at}] missing required Name field"
            if sum(map(bool, (query.present, query.exact, query.regex))) != 1:
                return f" QueryParam[{at}] should only contain one of Present, Exact, or Regex"
        for method in self.methods:
            if self.methods.count(method) > 1:
                return f' Methods contains "{method}" more than once'
        return ""


class RouteMatch(Part, frozen=True, kw_only=True):
    """What a route applies to; without it, to everything."""

    http: HTTPMatch | None = None


class RouteDestination(Part, frozen=True, kw_only=True):
    """Where a request goes and how; an empty service is the router's own."""

    service: str = ""
    service_subset: str = ""
    namespace: str = ""
    partition: str = ""
    prefix_rewrite: str = ""
    request_timeout: GoDuration = ""
    idle_timeout: GoDuration = ""
    num_retries: int = 0
    retry_on_connect_failure: bool = False
    retry_on_status_codes: tuple[int, ...] = ()
    retry_on: tuple[str, ...] = ()
    request_headers: HeaderModifiers | None = None
    response_headers: HeaderModifiers | None = None


class Route(Part, frozen=True, kw_only=True):
    """The first route that matches decides."""

    match: RouteMatch | None = None
    destination: RouteDestination | None = None

    def problem(self) -> str:
        http = self.match.http if self.match is not None else None
        found = http.problem() if http is not None else ""
        destination = self.destination
        if found or destination is None:
            return found
        if destination.prefix_rewrite and not (http is not None and (http.path_exact or http.path_prefix)):
            return " cannot make use of PrefixRewrite without configuring either PathExact or PathPrefix"
        for condition in destination.retry_on:
            if condition not in _RETRY_ON:
                return f' contains an invalid retry condition: "{condition}"'
        return ""


class ServiceRouter(Entry, frozen=True, kw_only=True, tag="service-router"):
    """Routes of the service `name`; a catch-all to the service itself follows them."""

    routes: tuple[Route, ...] | None = None

    def normalised(self) -> ServiceRouter:
        routes = tuple(_upper(route) for route in self.routes) if self.routes is not None else None
        result: ServiceRouter = changed(self, routes=routes)
        return result

    def problem(self) -> str:
        if not self.name:
            return required(self.name)
        for at, route in enumerate(self.routes or ()):
            found = route.problem()
            if found:
                return f"Route[{at}]{found}"
        return ""

    def related(self) -> frozenset[str]:
        names = {route.destination.service for route in self.routes or () if route.destination is not None}
        return frozenset(names - {"", self.name})


def _upper(route: Route) -> Route:
    if route.match is None or route.match.http is None or not route.match.http.methods:
        return route
    http = changed(route.match.http, methods=tuple(method.upper() for method in route.match.http.methods))
    result: Route = changed(route, match=changed(route.match, http=http))
    return result

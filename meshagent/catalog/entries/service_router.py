"""`service-router`: which destination a request goes to, by path, headers, query and method.

Source: surface row M23; developer.hashicorp.com/consul/docs/connect/config-entries/service-router. What may change
here: fields are added with a default.
"""

from __future__ import annotations

import re

from meshagent.catalog.entries.entry import Entry, GoDuration, HeaderModifiers, Part, changed, required
from meshagent.catalog.entries.experiments import Fault, Mirror

__all__ = ["Redirect", "Route", "RouteDestination", "RouteMatch", "ServiceRouter"]

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

_REDIRECTS = frozenset([301, 302, 303, 307, 308])
#: A name, an IPv4 address, or an IPv6 address in brackets.
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\]")
#: Visible ASCII, as a target is on the wire.
_PATH = re.compile(r"/[!-~]{0,2047}")


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


class Redirect(Part, frozen=True, kw_only=True):
    """Ours, in Envoy's words: the request is answered with another address; what is left out stays as it was asked for.

    `response_code` is 301 when it is left out.
    """

    scheme_redirect: str = ""
    host_redirect: str = ""
    port_redirect: int = 0
    path_redirect: str = ""
    prefix_rewrite: str = ""
    strip_query: bool = False
    response_code: int = 0

    def problem(self, http: HTTPMatch | None) -> str:
        if not (self.scheme_redirect or self.host_redirect or self.port_redirect or self.path_redirect
                or self.prefix_rewrite or self.strip_query):  # fmt: skip
            return " Redirect changes nothing"
        if self.scheme_redirect not in {"", "http", "https"}:
            return f' Redirect.SchemeRedirect must be http or https: "{self.scheme_redirect}"'
        if self.host_redirect and not _HOST.fullmatch(self.host_redirect):
            return f' Redirect.HostRedirect is not a host name or address: "{self.host_redirect}"'
        if not 0 <= self.port_redirect <= 65535:
            return f" Redirect.PortRedirect must be between 1 and 65535: {self.port_redirect}"
        if self.path_redirect and self.prefix_rewrite:
            return " Redirect should only contain one of PathRedirect or PrefixRewrite"
        for field, path in (("PathRedirect", self.path_redirect), ("PrefixRewrite", self.prefix_rewrite)):
            if path and not _PATH.fullmatch(path):
                return f" Redirect.{field} must start with '/' and have no spaces or controls: \"{path}\""
        if self.prefix_rewrite and not (http is not None and (http.path_exact or http.path_prefix)):
            return " cannot make use of Redirect.PrefixRewrite without configuring either PathExact or PathPrefix"
        if self.response_code and self.response_code not in _REDIRECTS:
            return f" Redirect.ResponseCode must be one of 301, 302, 303, 307 or 308: {self.response_code}"
        return ""


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
    #: Ours: nothing is sent on; of the others only `response_headers` goes with it.
    redirect: Redirect | None = None
    #: Ours; an empty service of a mirror is the one that the route leads to.
    mirror: Mirror | None = None
    fault: Fault | None = None


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
        if destination.redirect is not None:
            if changed(destination, redirect=None, response_headers=None) != RouteDestination():
                return " Redirect cannot be combined with other fields of Destination than ResponseHeaders"
            return destination.redirect.problem(http)
        for experiment in (destination.mirror, destination.fault):
            found = experiment.problem() if experiment is not None else ""
            if found:
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
        destinations = [route.destination for route in self.routes or () if route.destination is not None]
        names = {one.service for one in destinations}
        names |= {one.mirror.service for one in destinations if one.mirror is not None}
        return frozenset(names - {"", self.name})


def _upper(route: Route) -> Route:
    if route.match is None or route.match.http is None or not route.match.http.methods:
        return route
    http = changed(route.match.http, methods=tuple(method.upper() for method in route.match.http.methods))
    result: Route = changed(route, match=changed(route.match, http=http))
    return result

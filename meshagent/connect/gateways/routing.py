"""`http-route` rules in the words of routers and splitters: an API gateway's routes compile like those of a service.

The rules of all routes of one listener that are for one host name become one router, the most exact first, whose
destinations may have splitters and resolvers of their own. A rule with several services is a splitter of its own. Pure.

Source: surface rows M31, M32; api-gateway.json of the golden mesh data (order, names, what becomes of filters);
gateway-api.sigs.k8s.io, "HTTPRouteRule" (precedence). What may change here: further filters.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any

import msgspec

from meshagent.catalog.entries.entry import Entry, HeaderModifiers
from meshagent.catalog.entries.gateway_routes import Filters, HeaderFilter, HTTPRoute, PathMatch, Rule, RuleMatch
from meshagent.catalog.entries.graph import Lookup
from meshagent.catalog.entries.service_defaults import ServiceDefaults
from meshagent.catalog.entries.service_intentions import IntentionJWT
from meshagent.catalog.entries.service_router import (
    HeaderMatch,
    HTTPMatch,
    QueryMatch,
    Route,
    RouteDestination,
    RouteMatch,
    ServiceRouter,
)
from meshagent.catalog.entries.service_splitter import ServiceSplitter, Split
from meshagent.connect.chain import Chain, ResolverNode, RouterNode, SplitterNode, compile_chain
from meshagent.connect.overrides import Overrides
from meshagent.durations import format_duration

__all__ = ["HostRules", "by_host", "compile_host", "hosts_of", "virtual_name"]

_EVERYTHING = RuleMatch(path=PathMatch(match="prefix", value="/"))


class HostRules(msgspec.Struct, frozen=True):
    """What is asked for at one host name, the most exact match first, with the rule that says so."""

    host: str
    rules: tuple[tuple[RuleMatch, Rule], ...]

    def tokens(self, default: IntentionJWT | None, override: IntentionJWT | None) -> tuple[IntentionJWT | None, ...]:
        """What each route demands; () when none demands anything."""
        found = tuple(override or rule.filters.jwt or default for _, rule in self.rules)
        return found if any(found) else ()

    def services(self) -> tuple[str, ...]:
        """Where it leads to."""
        return tuple(dict.fromkeys(one.name for _, rule in self.rules for one in rule.services or ()))


def hosts_of(listener: str, route: HTTPRoute) -> tuple[str, ...]:
    """The host names of a route at a listener with the host name `listener` ("": any)."""
    if not route.hostnames:
        return (listener or "*",)
    if not listener or listener == "*":
        return route.hostnames
    found = []
    for host in route.hostnames:
        if within(listener, host):
            found.append(host)
        elif within(host, listener):
            found.append(listener)
    return tuple(dict.fromkeys(found))


def within(pattern: str, host: str) -> bool:
    """Whether a host name (or pattern) is covered by a pattern."""
    return pattern in {"*", host} or (pattern.startswith("*.") and host.endswith(pattern[1:]))


def by_host(listener: str, routes: Iterable[HTTPRoute]) -> tuple[HostRules, ...]:
    """The rules of all routes of a listener by host name, in the order in which names come first."""
    found: dict[str, list[tuple[RuleMatch, Rule]]] = {}
    for route in routes:
        for host in hosts_of(listener, route):
            rules = found.setdefault(host, [])
            for rule in route.rules or ():
                rules += [(match, rule) for match in rule.matches or (_EVERYTHING,)]
    return tuple(
        HostRules(host, tuple(sorted(rules, key=lambda one: _exactness(one[0])))) for host, rules in found.items()
    )


def virtual_name(gateway: str, listener: str, host: str) -> str:
    """`gw-plain-db627532`: the service that does not exist, whose router has the rules of a host."""
    return f"{gateway}-{listener}-{zlib.crc32(host.encode()):x}"


def compile_host(entries: Lookup, name: str, host: HostRules, protocol: str, datacenter: str, domain: str) -> Chain:
    """The chain of one host name. Its routers are not asked: a route leads to a service's splitter or resolver.

    Raises:
        InternalError: the entries do not fit together.
    """
    routes, made = [], dict[tuple[str, str], Entry]()
    for at, (match, rule) in enumerate(host.rules):
        destination, splitter = _destination(f"{name}-{at}", match, rule)
        if splitter is not None:
            made["service-splitter", splitter.name.lower()] = splitter
        routes.append(Route(match=RouteMatch(http=_match(match)), destination=destination))
    made["service-router", name.lower()] = ServiceRouter(name=name, routes=tuple(routes))
    made["service-defaults", name.lower()] = ServiceDefaults(name=name, protocol=protocol)
    chain = compile_chain(entries.over(made), name, datacenter, domain, Overrides(protocol))
    return _only_routed(chain)


# --- inside ---------------------------------------------------------------------------------------------------------


def _exactness(match: RuleMatch) -> tuple[int, int, int]:
    """Sorts the more exact first; equals stay in order. What is exact goes before a prefix of the same length."""
    return -len(match.path.value), -len(match.headers or ()), -len(match.query or ())


def _only_routed(chain: Chain) -> Chain:
    """Without the route to the service that does not exist, and what only it leads to."""
    start = chain.nodes[chain.start]
    if not isinstance(start, RouterNode):
        return chain
    start = msgspec.structs.replace(start, routes=start.routes[:-1])
    nodes, wanted = {chain.start: start}, [route.next for route in start.routes]
    targets: set[str] = set()
    while wanted:
        at = wanted.pop()
        node = chain.nodes[at]
        nodes[at] = node  # type: ignore[assignment]
        if isinstance(node, SplitterNode):
            wanted += [one.next for one in node.splits]
        elif isinstance(node, ResolverNode):
            targets |= {node.target, *(node.failover or ())}
    return msgspec.structs.replace(
        chain,
        nodes=dict(sorted(nodes.items())),
        targets={at: chain.targets[at] for at in sorted(targets)},
        default=False,
    )


def _destination(name: str, match: RuleMatch, rule: Rule) -> tuple[RouteDestination, ServiceSplitter | None]:
    services = rule.services or ()
    filters, response = rule.filters, rule.response_filters
    request_headers = headers_of(filters.headers)
    response_headers = headers_of(response.headers)
    rewrite, splitter, to = filters.url_rewrite, None, name
    if len(services) == 1:
        only = services[0]
        to = only.name
        rewrite = only.filters.url_rewrite or rewrite
        request_headers = _joined(request_headers, headers_of(only.filters.headers))
        response_headers = _joined(response_headers, headers_of(only.response_filters.headers))
    else:
        total = sum(one.weight for one in services)
        splits = tuple(
            Split(
                service=one.name,
                weight=one.weight / total * 100,
                request_headers=headers_of(one.filters.headers),
                response_headers=headers_of(one.response_filters.headers),
            )
            for one in services
            if one.weight > 0
        )
        splitter = ServiceSplitter(name=name, splits=splits)
    plain = match.path.match in {"exact", "prefix"}
    return (
        RouteDestination(
            service=to,
            prefix_rewrite=rewrite.path if rewrite is not None and plain else "",
            request_headers=request_headers,
            response_headers=response_headers,
            **_patience(filters),
        ),
        splitter,
    )


def _patience(filters: Filters) -> dict[str, Any]:
    """Retries and timeouts."""
    found: dict[str, Any] = {}
    retry, timeout = filters.retry_filter, filters.timeout_filter
    if retry is not None:
        found |= {
            "num_retries": retry.num_retries,
            "retry_on": retry.retry_on or (),
            "retry_on_status_codes": retry.retry_on_status_codes or (),
            "retry_on_connect_failure": bool(retry.retry_on_connect_failure),
        }
    if timeout is not None:
        for word in ("request_timeout", "idle_timeout"):
            nanoseconds = getattr(timeout, word)
            if nanoseconds > 0:
                found[word] = format_duration(nanoseconds)
    return found


def headers_of(filters: Iterable[HeaderFilter] | None) -> HeaderModifiers | None:
    """Several filters as one; the last that speaks of a header counts."""
    found: HeaderModifiers | None = None
    for one in filters or ():
        found = _joined(found, HeaderModifiers(add=one.add or None, set=one.set or None, remove=one.remove or ()))
    return found


def _joined(first: HeaderModifiers | None, then: HeaderModifiers | None) -> HeaderModifiers | None:
    if first is None or then is None:
        return first or then
    return HeaderModifiers(
        add={**(first.add or {}), **(then.add or {})} or None,
        set={**(first.set or {}), **(then.set or {})} or None,
        remove=tuple(dict.fromkeys((*first.remove, *then.remove))),
    )


def _match(match: RuleMatch) -> HTTPMatch:
    way = {"exact": "path_exact", "prefix": "path_prefix", "regex": "path_regex"}[match.path.match or "prefix"]
    return HTTPMatch(
        **{way: match.path.value or "/"},  # type: ignore[arg-type]
        header=tuple(
            HeaderMatch(name=one.name, **{one.match: True if one.match == "present" else one.value})  # type: ignore[arg-type]
            for one in match.headers or ()
        ),
        query_param=tuple(
            QueryMatch(name=one.name, **{one.match: True if one.match == "present" else one.value})  # type: ignore[arg-type]
            for one in match.query or ()
        ),
        methods=(match.method,) if match.method else (),
    )

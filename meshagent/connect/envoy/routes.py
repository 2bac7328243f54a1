"""Routes in Envoy's words: a compiled chain, the application behind a sidecar, an exposed path. Pure.

An upstream whose chain no entry speaks of has its one route in the listener; the others' come as resources of their
own, so that a change of routes leaves connections alone. The timeout of a resolver counts where the chain begins with
it; behind a splitter or router there is no place for it.

Source: surface rows X13, M23-M25, M40-M43; the recorded resources of a real Consul (golden mesh data, xds); Envoy's
Route. `connect/proxy/http/routes.py` makes the same of a chain. What may change here: further fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from meshagent.catalog.entries.entry import HeaderModifiers
from meshagent.catalog.entries.service_resolver import HashPolicy, LoadBalancer
from meshagent.catalog.entries.service_router import HTTPMatch, QueryMatch, Redirect, RouteDestination
from meshagent.connect.chain import Chain, NextRoute, NextSplit, Node, ResolverNode, RouterNode
from meshagent.connect.envoy import durations, faults, names, rate_limits, request_matchers
from meshagent.connect.envoy.headers import authority_of, header_edits
from meshagent.connect.envoy.resources import Resource
from meshagent.connect.l7 import Experiments, Extras, experiments_of
from meshagent.connect.snapshot import Inbound, Outbound, ProxySnapshot
from meshagent.durations import parse_duration

__all__ = [
    "EVERYTHING",
    "Options",
    "configuration",
    "exposed",
    "has_faults",
    "inline",
    "of_chain",
    "options_of",
    "outbound",
    "public",
    "uses_rds",
    "virtual_host",
]

EVERYTHING: Resource = {"prefix": "/"}
_DEFAULT_TIMEOUT_MS = 15_000
_HASHING = frozenset({"ring_hash", "maglev"})
_REDIRECTS = {
    301: "MOVED_PERMANENTLY",
    302: "FOUND",
    303: "SEE_OTHER",
    307: "TEMPORARY_REDIRECT",
    308: "PERMANENT_REDIRECT",
}


@dataclass(frozen=True)
class Options:
    """What does not stand in a chain. `mirror_of` gives the cluster of another upstream, "" where there is none."""

    extras: Extras = field(default_factory=Extras)
    mirror_of: Callable[[str], str] = lambda _: ""
    idle_timeout_ms: int | None = None
    #: The server is called by the name it is dialled by (gateways to the outside).
    auto_host_rewrite: bool = False


_PLAIN = Options()


def has_faults(one: Outbound) -> bool:
    """Whether a route of an upstream makes errors on purpose: its listener then needs the filter."""
    if one.chain is None or one.extras.fault is not None:
        return one.chain is not None
    for node in one.chain.nodes.values():
        if isinstance(node, ResolverNode) and node.fault is not None:
            return True
        if isinstance(node, RouterNode) and any(
            route.definition.destination is not None and route.definition.destination.fault is not None
            for route in node.routes
        ):
            return True
    return False


def uses_rds(one: Outbound) -> bool:
    """Whether the routes of an upstream are a resource of their own."""
    return one.chain is not None and not one.chain.default


def options_of(snapshot: ProxySnapshot, one: Outbound) -> Options:
    """What an upstream of a sidecar adds to its chain."""

    def mirror_of(name: str) -> str:
        chain = next((other.chain for other in snapshot.outbound if other.name == name and other.is_http), None)
        target = _first_target(chain) if chain is not None else ""
        return names.cluster(chain, target) if chain is not None and target else ""

    return Options(one.extras, mirror_of, one.idle_timeout_ms)


def outbound(snapshot: ProxySnapshot, one: Outbound) -> Resource | None:
    """The RouteConfiguration of an upstream; None where it stands in the listener (`inline`)."""
    if one.chain is None or not uses_rds(one):
        return None
    name = names.upstream(one)
    return configuration(name, [virtual_host(name, ["*"], of_chain(one.chain, options_of(snapshot, one)))])


def inline(snapshot: ProxySnapshot, one: Outbound) -> Resource:
    """The `route_config` of an upstream's listener."""
    chain = one.chain
    if chain is None:
        raise ValueError(f"{one.name}: no chain")
    host = virtual_host(_first_target(chain), ["*"], of_chain(chain, options_of(snapshot, one)))
    return configuration(names.upstream(one), [host])


def public(snapshot: ProxySnapshot, inbound: Inbound) -> Resource:
    """The `route_config` of a sidecar's public listener."""
    action: Resource = {"cluster": names.LOCAL_APP}
    if inbound.request_timeout_ms != _DEFAULT_TIMEOUT_MS:
        action["timeout"] = durations.of_milliseconds(inbound.request_timeout_ms)
    if inbound.idle_timeout_ms is not None:
        action["idle_timeout"] = durations.of_milliseconds(inbound.idle_timeout_ms)
    found: list[Resource] = [
        {
            "match": rate_limits.route_match(rule),
            "route": action,
            "typed_per_filter_config": rate_limits.of_route(rule),
        }
        for rule in snapshot.rate_limits.routes
    ]
    name = "public_listener"
    return configuration(name, [virtual_host(name, ["*"], [*found, {"match": EVERYTHING, "route": action}])])


def exposed(name: str, path: str, cluster: str) -> Resource:
    """The `route_config` of an exposed path: that one alone."""
    return configuration(name, [virtual_host(name, ["*"], [{"match": {"path": path}, "route": {"cluster": cluster}}])])


def configuration(name: str, hosts: list[Resource]) -> Resource:
    """A RouteConfiguration."""
    return {"name": name, "virtual_hosts": hosts}


def virtual_host(
    name: str,
    domains: list[str],
    routes: list[Resource],
    request: HeaderModifiers | None = None,
    response: HeaderModifiers | None = None,
) -> Resource:
    """A VirtualHost, with what it changes on all its requests and answers."""
    return {"name": name, "domains": domains, "routes": routes, **header_edits(request, response)}


def of_chain(chain: Chain, options: Options = _PLAIN) -> list[Resource]:
    """The routes of a chain, in order."""
    return _Compiler(chain, options).routes()


class _Compiler:
    def __init__(self, chain: Chain, options: Options) -> None:
        self._chain = chain
        self._options = options

    def routes(self) -> list[Resource]:
        start = self._chain.nodes[self._chain.start]
        if not isinstance(start, RouterNode):
            timeout_ns = start.request_timeout_ns if isinstance(start, ResolverNode) else 0
            return [self._forwarded(EVERYTHING, start, None, timeout_ns)]
        found: list[Resource] = []
        for route in start.routes:
            definition = route.definition
            http = definition.match.http if definition.match is not None else None
            to = definition.destination
            if to is not None and to.redirect is not None:
                edits = header_edits(None, to.response_headers)
                found.append({"match": matched(http), "redirect": redirect(to.redirect), **edits})
            else:
                found.append(self._forwarded(matched(http), self._chain.nodes[route.next], route, 0))
        return found

    def _forwarded(self, match: Resource, node: Node, route: NextRoute | None, timeout_ns: int) -> Resource:
        options, extras = self._options, self._options.extras
        to = route.definition.destination if route is not None else None
        experiments = experiments_of(node, route)
        action = self._clusters(node)
        authority = authority_of(to.request_headers) if to is not None else ""
        if authority:
            action["host_rewrite_literal"] = authority
        elif options.auto_host_rewrite:
            action["auto_host_rewrite"] = True
        own_ns = parse_duration(to.request_timeout) if to is not None and to.request_timeout else 0
        if own_ns or timeout_ns:
            action["timeout"] = durations.of_nanoseconds(max(0, own_ns or timeout_ns))
        if to is not None and to.idle_timeout:
            action["idle_timeout"] = durations.of_nanoseconds(max(0, parse_duration(to.idle_timeout)))
        elif options.idle_timeout_ms is not None:
            action["idle_timeout"] = durations.of_milliseconds(options.idle_timeout_ms)
        if to is not None and to.prefix_rewrite:
            action["prefix_rewrite"] = to.prefix_rewrite
        policy = retry_policy(to, extras)
        if policy:
            action["retry_policy"] = policy
        hashed = [hash_policy(one) for one in self._hashing(node)]
        if hashed:
            action["hash_policy"] = hashed
        mirror = self._mirrored(experiments)
        if mirror is not None:
            action["request_mirror_policies"] = [mirror]
        more = header_edits(to.request_headers, to.response_headers) if to is not None else {}
        fault = experiments.fault or extras.fault
        if fault is not None:
            more["typed_per_filter_config"] = {faults.NAME: faults.fault(fault)}
        return {"match": match, "route": action, **more}

    def _mirrored(self, experiments: Experiments) -> Resource | None:
        options = self._options
        node = self._chain.nodes[experiments.mirror] if experiments.mirror else None
        if isinstance(node, ResolverNode):
            return faults.mirror(names.cluster(self._chain, node.target), experiments.mirror_percent)
        cluster = options.mirror_of(options.extras.mirror) if options.extras.mirror else ""
        return faults.mirror(cluster, options.extras.mirror_percent) if cluster else None

    def _clusters(self, node: Node) -> Resource:
        if isinstance(node, ResolverNode):
            return {"cluster": names.cluster(self._chain, node.target)}
        if isinstance(node, RouterNode):
            raise TypeError(node.name)
        return {"weighted_clusters": {"clusters": [self._share(one) for one in node.splits]}}

    def _share(self, one: NextSplit) -> Resource:
        to = self._chain.nodes[one.next]
        if not isinstance(to, ResolverNode):
            raise TypeError(one.next)
        definition = one.definition
        found = {"name": names.cluster(self._chain, to.target), "weight": round(one.weight * 100)}
        authority = authority_of(definition.request_headers)
        if authority:
            found["host_rewrite_literal"] = authority
        return {**found, **header_edits(definition.request_headers, definition.response_headers)}

    def _hashing(self, node: Node) -> Iterable[HashPolicy]:
        """The hash policies that count for a node."""
        balancer = hashing(self._chain, node)
        return balancer.hash_policies if balancer is not None else ()


def hashing(chain: Chain, node: Node) -> LoadBalancer | None:
    """The load balancer that hashes requests of a node; of several behind a splitter the first one's."""
    if isinstance(node, ResolverNode):
        balancer = node.load_balancer
        return balancer if balancer is not None and balancer.policy in _HASHING else None
    if isinstance(node, RouterNode):
        return None
    found = (hashing(chain, chain.nodes[one.next]) for one in node.splits)
    return next((one for one in found if one is not None), None)


def matched(http: HTTPMatch | None) -> Resource:
    """The RouteMatch of a condition."""
    if http is None:
        return dict(EVERYTHING)
    if http.path_exact:
        found: Resource = {"path": http.path_exact}
    elif http.path_regex:
        found = request_matchers.expression(http.path_regex)
    else:
        found = {"prefix": http.path_prefix or "/"}
    if http.case_insensitive:
        found["case_sensitive"] = False
    headers = [request_matchers.header(one) for one in http.header]
    if http.methods:
        headers.append(request_matchers.methods(http.methods))
    if headers:
        found["headers"] = headers
    if http.query_param:
        found["query_parameters"] = [_parameter(one) for one in http.query_param]
    return found


def _parameter(one: QueryMatch) -> Resource:
    if one.present:
        return {"name": one.name, "present_match": True}
    return {"name": one.name, "string_match": request_matchers.text(exact=one.exact, regex=one.regex)}


def retry_policy(to: RouteDestination | None, extras: Extras) -> Resource:
    """When a request is tried again; {} for never."""
    number = extras.num_retries
    words: list[str] = []
    found: Resource = {}
    if to is not None:
        number = to.num_retries or number
        words += to.retry_on
        if to.retry_on_connect_failure and "connect-failure" not in words:
            words.append("connect-failure")
        if to.retry_on_status_codes:
            words.append("retriable-status-codes")
            found["retriable_status_codes"] = list(to.retry_on_status_codes)
    words = words or list(extras.retry_on)
    if not words and not number:
        return {}
    if number:
        found["num_retries"] = number
    if words:
        found["retry_on"] = ",".join(words)
    if extras.per_try_timeout_s:
        found["per_try_timeout"] = durations.of_seconds(extras.per_try_timeout_s)
    return found


def hash_policy(one: HashPolicy) -> Resource:
    """What of a request is hashed."""
    if one.source_ip:
        found: Resource = {"connection_properties": {"source_ip": True}}
    elif one.field == "header":
        found = {"header": {"header_name": one.field_value}}
    elif one.field == "query_parameter":
        found = {"query_parameter": {"name": one.field_value}}
    else:
        found = {"cookie": _cookie(one)}
    return {**found, "terminal": True} if one.terminal else found


def _cookie(one: HashPolicy) -> Resource:
    found: Resource = {"name": one.field_value}
    made = one.cookie_config
    if made is not None:
        if made.session or made.ttl:
            found["ttl"] = durations.of_nanoseconds(0 if made.session else made.ttl)
        if made.path:
            found["path"] = made.path
    return found


def redirect(one: Redirect) -> Resource:
    """A RedirectAction."""
    found: Resource = {
        "scheme_redirect": one.scheme_redirect,
        "host_redirect": one.host_redirect,
        "port_redirect": one.port_redirect,
        "path_redirect": one.path_redirect,
        "prefix_rewrite": one.prefix_rewrite,
        "strip_query": one.strip_query,
        "response_code": _REDIRECTS[one.response_code] if one.response_code else "",
    }
    return {key: value for key, value in found.items() if value}


def _first_target(chain: Chain) -> str:
    """The target that a chain without a router leads to first."""
    node = chain.nodes[chain.start]
    while not isinstance(node, ResolverNode):
        node = chain.nodes[node.routes[-1].next if isinstance(node, RouterNode) else node.splits[0].next]
    return node.target

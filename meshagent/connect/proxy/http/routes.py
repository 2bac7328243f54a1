"""The routes of one upstream from its compiled chain: what `service-router`, `-splitter` and `-resolver` entries say,
ready to use. Pure.

A listener has them made anew when a snapshot changes the chain; requests only read them. Where there is one route for
everything, looking it up costs nothing.

Source: surface rows M23-M25, M40-M43; Envoy's routes as Consul renders them. What may change here: further fields.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from meshagent.catalog.entries.entry import HeaderModifiers
from meshagent.catalog.entries.service_router import RouteDestination
from meshagent.connect.chain import Chain, NextRoute, ResolverNode, RouterNode, SplitterNode
from meshagent.connect.header_edits import usable
from meshagent.connect.l7 import Experiments, Extras, experiments_of
from meshagent.connect.proxy.http.hooks import Cluster
from meshagent.connect.proxy.http.matching import Matcher, header_value, matcher, query_value
from meshagent.connect.proxy.http.messages import RequestHead
from meshagent.connect.proxy.http.policy import NO_EDITS, Destination, Fault, HeaderEdits, Mirror, RetryPolicy, Route
from meshagent.connect.proxy.http.redirecting import redirecting
from meshagent.durations import parse_duration

__all__ = ["DEFAULT_TIMEOUT_S", "IDLE_TIMEOUT_S", "Routes", "compile_routes", "edits_of"]

#: Envoy's timeout of a route without one.
DEFAULT_TIMEOUT_S = 15.0
#: Envoy's longest silence of a stream.
IDLE_TIMEOUT_S = 300.0
ClusterOf = Callable[[str], Cluster | None]


class Routes:
    """`RouteTable`: routes in order."""

    __slots__ = ("_routes", "match")

    def __init__(self, routes: list[tuple[Matcher | None, Route]]) -> None:
        self._routes = routes
        only = routes[0][1] if routes and routes[0][0] is None else None
        self.match: Callable[[RequestHead], Route | None] = self._find if only is None else lambda _: only

    def _find(self, head: RequestHead) -> Route | None:
        path, _, _ = head.path.partition(b"?")
        for fits, route in self._routes:
            if fits is None or fits(path, head):
                return route
        return None

    @property
    def routes(self) -> list[Route]:
        """All of them, in order."""
        return [route for _, route in self._routes]

    @property
    def rows(self) -> list[tuple[Matcher | None, Route]]:
        """The same, each with what it is for."""
        return self._routes


def compile_routes(
    chain: Chain,
    cluster_of: ClusterOf,
    extras: Extras | None = None,
    mirror: Cluster | None = None,
    idle_timeout_s: float = IDLE_TIMEOUT_S,
) -> Routes:
    """The routes of a chain. `cluster_of` gives the cluster of a resolver node; `mirror` the one that `extras` name;
    `idle_timeout_s` is for routes that say none."""
    return _Compiler(chain, cluster_of, extras or Extras(), mirror, idle_timeout_s).compile()


class _Compiler:
    def __init__(
        self, chain: Chain, cluster_of: ClusterOf, extras: Extras, mirror: Cluster | None, idle_timeout_s: float
    ) -> None:
        self._idle_timeout_s = idle_timeout_s
        self._chain = chain
        self._cluster_of = cluster_of
        self._extras = extras
        self._mirror = mirror

    def compile(self) -> Routes:
        start = self._chain.nodes[self._chain.start]
        if not isinstance(start, RouterNode):
            own_ns = start.request_timeout_ns if isinstance(start, ResolverNode) else 0
            return Routes([(None, self._route("default", None, None, self._chain.start, own_ns))])
        found: list[tuple[Matcher | None, Route]] = []
        for at, route in enumerate(start.routes):
            definition = route.definition
            http = definition.match.http if definition.match is not None else None
            name = "default" if at == len(start.routes) - 1 else str(at)
            prefix = (http.path_exact or http.path_prefix) if http is not None else ""
            fits = matcher(http)
            found.append((fits, self._route(name, route, prefix, route.next)))
            if fits is None:
                break
        return Routes(found)

    def _route(self, name: str, routed: NextRoute | None, prefix: str | None, next_: str, timeout_ns: int = 0) -> Route:
        splits = self._splits(next_)
        extras = self._extras
        to = routed.definition.destination if routed is not None else None
        experiments = experiments_of(self._chain.nodes[next_], routed)
        fault = experiments.fault or extras.fault
        made = Fault(
            fault.delay_s, fault.delay_percent, fault.abort_status, fault.abort_percent,
            (fault.header.lower().encode(), fault.header_value.encode()) if fault.header else None,
        ) if fault is not None else None  # fmt: skip
        rewrite = (
            (prefix.encode(), to.prefix_rewrite.encode()) if to is not None and to.prefix_rewrite and prefix else None
        )
        return Route(
            name=name,
            splits=splits,
            timeout_s=_timeout(to, timeout_ns),
            idle_timeout_s=max(0.0, _seconds(to.idle_timeout))
            if to is not None and to.idle_timeout
            else self._idle_timeout_s,
            request=edits_of(to.request_headers if to is not None else None),
            response=edits_of(to.response_headers if to is not None else None),
            rewrite=rewrite,
            retry=_retry(to, extras),
            fault=made,
            mirror=self._copies(experiments),
            hash_key=_hashing(splits),
            direct=redirecting(to.redirect, prefix or "") if to is not None and to.redirect is not None else None,
        )

    def _copies(self, experiments: Experiments) -> Mirror | None:
        if experiments.mirror:
            cluster = self._cluster_of(experiments.mirror)
            return Mirror(cluster, experiments.mirror_percent) if cluster is not None else None
        return Mirror(self._mirror, self._extras.mirror_percent) if self._mirror is not None else None

    def _splits(self, key: str) -> tuple[tuple[float, Destination], ...]:
        node = self._chain.nodes[key]
        if isinstance(node, ResolverNode):
            cluster = self._cluster_of(key)
            return ((1.0, Destination(cluster)),) if cluster is not None else ()
        if not isinstance(node, SplitterNode):
            raise TypeError(key)
        found: list[tuple[float, Destination]] = []
        up_to = 0.0
        for split in node.splits:
            cluster = self._cluster_of(split.next)
            to = self._chain.nodes[split.next]
            if cluster is None or not isinstance(to, ResolverNode) or not split.weight:
                continue
            up_to += split.weight / 100.0
            definition = split.definition
            edits = edits_of(definition.request_headers), edits_of(definition.response_headers)
            found.append((up_to, Destination(cluster, *edits)))
        if found:  # rounding must not leave a gap at the end
            found[-1] = (1.0, found[-1][1])
        return tuple(found)


def edits_of(modifiers: HeaderModifiers | None) -> HeaderEdits:
    """Header changes as bytes."""
    if modifiers is None:
        return NO_EDITS
    made = usable(modifiers)

    def pairs(values: dict[str, str] | None) -> tuple[tuple[bytes, bytes], ...]:
        return tuple((name.lower().encode(), value.encode()) for name, value in (values or {}).items())

    return HeaderEdits(pairs(made.add), pairs(made.set), frozenset(name.lower().encode() for name in made.remove))


def _seconds(duration: str) -> float:
    return parse_duration(duration) / 1e9


def _timeout(to: RouteDestination | None, resolver_ns: int) -> float:
    """The route's own, else that of the resolver that the chain begins with, else Envoy's; a negative one is none."""
    own = _seconds(to.request_timeout) if to is not None and to.request_timeout else 0.0
    return max(0.0, own or resolver_ns / 1e9) if own or resolver_ns else DEFAULT_TIMEOUT_S


def _retry(to: RouteDestination | None, extras: Extras) -> RetryPolicy | None:
    conditions: set[str] = set()
    statuses: frozenset[int] = frozenset()
    number = extras.num_retries
    if to is not None:
        number = to.num_retries or number
        conditions.update(to.retry_on)
        statuses = frozenset(to.retry_on_status_codes)
        if to.retry_on_connect_failure:
            conditions.add("connect-failure")
    conditions.update(() if conditions or statuses else extras.retry_on)
    if not (conditions or statuses or number):
        return None
    return RetryPolicy(
        num_retries=number or 1,
        conditions=frozenset(conditions),
        statuses=statuses,
        per_try_timeout_s=extras.per_try_timeout_s,
    )


class _Hashed:
    """A request as hash policies read it."""

    __slots__ = ("_head", "source_ip")

    def __init__(self, head: RequestHead, address: str) -> None:
        self._head = head
        self.source_ip = address.rpartition(":")[0]

    def header(self, name: str) -> str | None:
        value = header_value(self._head.headers, name.encode())
        return value.decode("utf-8", "surrogateescape") if value is not None else None

    def query(self, name: str) -> str | None:
        value = query_value(self._head.path, name.encode())
        return value.decode("utf-8", "surrogateescape") if value is not None else None


def _hashing(
    splits: tuple[tuple[float, Destination], ...],
) -> Callable[[RequestHead, str], tuple[int | None, bytes]] | None:
    """Sticky keys, by the policies of the first cluster that has some."""
    clusters: list[Any] = [destination.cluster for _, destination in splits]
    cluster = next((one for one in clusters if getattr(one, "settings", None) and one.settings.hash_policies), None)
    if cluster is None:
        return None

    def key(head: RequestHead, address: str) -> tuple[int | None, bytes]:
        hashed, cookie = cluster.hash_of(_Hashed(head, address))
        return hashed, cookie.encode("utf-8", "surrogateescape")

    return key

"""What HTTP requests mean to metrics that are named after RPCs: counted from what is counted anyway.

Every request is sampled under `api.http` by its route, on all ways; `Traffic` reads those when somebody looks, so the
hot paths do nothing for it. Look-ups of services have labels of their own and are counted with the view.

Source: surface row G42; the labels of a running Consul 1.20.1 (`service`; `tag` with the tags in order);
developer.hashicorp.com/consul/docs/agent/monitor/telemetry. What may change here: further metrics of this kind.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.agent.http.routes import Route
    from meshagent.agent.http.views import View
    from meshagent.metrics import Metrics, Sampler

__all__ = ["EMPTY", "Traffic", "api_name", "count_api", "count_lookup"]

#: The body of a list without rows.
EMPTY = b"[]"


#: Endpoints whose requests are counted under `client.api.*`, on the agent that was asked, by method and path.
_API = {
    ("GET", "/v1/catalog/datacenters"): "catalog_datacenters",
    ("GET", "/v1/catalog/nodes"): "catalog_nodes",
    ("GET", "/v1/catalog/services"): "catalog_services",
    ("GET", "/v1/catalog/service/"): "catalog_service_nodes",
    ("GET", "/v1/catalog/connect/"): "catalog_connect_service_nodes",
    ("GET", "/v1/catalog/node/"): "catalog_node_services",
    ("GET", "/v1/catalog/node-services/"): "catalog_node_service_list",
    ("GET", "/v1/catalog/gateway-services/"): "catalog_gateway_services",
    ("PUT", "/v1/catalog/register"): "catalog_register",
    ("PUT", "/v1/catalog/deregister"): "catalog_deregister",
}


def api_name(route: Route) -> str:
    """Under which name the requests of a route are counted; "": they are not."""
    return _API.get((route.method, route.path), "")


def count_api(agent: Agent, name: str, times: int = 1, *, status: int = 200) -> None:
    """Count `times` requests that were answered with `status`: from 500 on the servers failed."""
    if not name or times < 1:
        return
    labels = (("node", agent.node_name),)
    metrics = agent.metrics
    metrics.incr(f"client.api.{name}", 1, labels, times)
    if status >= 500:
        metrics.incr(f"client.rpc.error.{name}", 1, labels, times)
    elif status >= 400:
        metrics.incr(f"client.api.error.{name}", 1, labels, times)
    else:
        metrics.incr(f"client.api.success.{name}", 1, labels, times)


def count_lookup(metrics: Metrics, view: View, times: int, *, found: bool) -> None:
    """Count `times` queries of a view that looks up a service; other views are not counted."""
    if not view.lookup or times < 1:
        return
    family, kind = view.lookup
    labels = (("service", view.request.name),)
    metrics.incr(f"{family}.{kind}.query", 1, labels, times)
    tags = sorted(view.request.query.all("tag"))
    if tags:
        metrics.incr(f"{family}.{kind}.query-tags", 1, (*labels, ("tag", ",".join(tags))), times)
    if not found:
        metrics.incr(f"{family}.{kind}.not-found", 1, labels, times)


class Traffic:
    """`rpc.request` and `rpc.query`: what reaches the servers' state by the routes given."""

    def __init__(self, routes: Iterable[tuple[Route, Sampler]]) -> None:
        counted = [(route, sampler) for route, sampler in routes if route.built and route.limited]
        self._counted = [(sampler, route.read is not None) for route, sampler in counted]
        self._seen = [sampler.events for sampler, _ in self._counted]

    def collect(self, metrics: Metrics) -> None:
        """Add what has come since the last look."""
        requests = queries = 0
        for at, (sampler, is_query) in enumerate(self._counted):
            more = sampler.events - self._seen[at]
            self._seen[at] += more
            requests += more
            queries += more if is_query else 0
        metrics.incr("rpc.request", 1, (), requests)
        metrics.incr("rpc.query", 1, (), queries)

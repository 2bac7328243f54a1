"""`builtin/aws/lambda` at work: calls of an upstream become calls of a function of AWS Lambda.

The cluster of the service becomes Amazon's front door of the function's region, and the filter in front of the router
signs and wraps each request. Envoy takes the credentials from its own environment.

Source: surface row M85; envoyproxy.io "AWS Lambda" filter (cluster metadata `egress_gateway`, the example's cluster).
What may change here: nothing.
"""

from __future__ import annotations

from meshagent.catalog.entries.extensions.aws_lambda import Lambda
from meshagent.connect.envoy.endpoints import socket_address
from meshagent.connect.envoy.extensions.context import Context
from meshagent.connect.envoy.extensions.insertion import insert
from meshagent.connect.envoy.resources import Resource, typed

__all__ = ["patch"]

_FILTER = "envoy.extensions.filters.http.aws_lambda.v3.Config"
_TLS = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
_MANAGER = "envoy.filters.network.http_connection_manager"
_HTTPS = 443
#: Parts of AWS have top-level domains of their own.
_DOMAINS = {"aws-cn": "amazonaws.com.cn"}


def patch(arguments: Lambda, context: Context, service: str) -> None:
    """For one service of the proxy: an upstream of a sidecar, a service behind a terminating gateway."""
    for name in list(context.resources.clusters):
        if service in context.services_of_cluster(name):
            context.resources.clusters[name] = _cluster(name, arguments)
            context.resources.endpoints.pop(name, None)
    for name, route in context.resources.routes.items():
        if service in context.services_of_route(name):
            _keep_host(route)
    for chain in context.service_chains(service):
        for one in chain.get("filters", ()):
            if one["name"] != _MANAGER:
                continue
            manager = one["typed_config"]
            manager["strip_any_host_port"] = True
            _keep_host(manager.get("route_config", {}))
            made = {"name": "envoy.filters.http.aws_lambda", "typed_config": typed(_FILTER, _filter(arguments))}
            insert(manager["http_filters"], made, "BeforeLast", "")


def _filter(arguments: Lambda) -> Resource:
    return {
        "arn": arguments.arn,
        "payload_passthrough": arguments.payload_passthrough,
        "invocation_mode": arguments.invocation_mode.upper(),
    }


def _cluster(name: str, arguments: Lambda) -> Resource:
    domain = _DOMAINS.get(arguments.arn.split(":")[1], "amazonaws.com")
    place = socket_address(f"lambda.{arguments.region}.{domain}", _HTTPS)
    return {
        "name": name,
        "type": "LOGICAL_DNS",
        "connect_timeout": "5s",
        "dns_lookup_family": "V4_ONLY",
        "lb_policy": "ROUND_ROBIN",
        "metadata": {"filter_metadata": {"com.amazonaws.lambda": {"egress_gateway": True}}},
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": place}}]}],
        },
        "transport_socket": {"name": "tls", "typed_config": typed(_TLS, {"sni": f"*.{domain}"})},
    }


def _keep_host(routes: Resource) -> None:
    """The filter writes the host that it signs; nothing may write another one behind it."""
    for host in routes.get("virtual_hosts", ()):
        for route in host.get("routes", ()):
            action = route.get("route", {})
            for field in ("auto_host_rewrite", "host_rewrite_literal"):
                action.pop(field, None)

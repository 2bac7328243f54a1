"""Whom a filter calls: an upstream's cluster, or one of its own for an address of this host.

Source: surface rows M81, M83, M84 (`Target`); the recorded cluster `local_ext_authz`. What may change here: nothing
that dashboards read.
"""

from __future__ import annotations

from meshagent.catalog.entries.extensions.target import GrpcService, RetryPolicy, Target, local_address
from meshagent.connect.envoy import durations
from meshagent.connect.envoy.endpoints import socket_address
from meshagent.connect.envoy.extensions.context import Context
from meshagent.connect.envoy.resources import Resource, typed
from meshagent.errors import BadRequest

__all__ = ["cluster", "grpc_service", "retry_policy", "timeout"]

_DEFAULT_TIMEOUT = "1s"
_HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def timeout(text: str) -> str:
    """A time as Envoy writes it; one second where none is given."""
    return durations.of_text(text or _DEFAULT_TIMEOUT)


def cluster(context: Context, service: str, uri: str, connect: str, own_name: str, *, http2: bool) -> str:
    """The cluster's name; the one of an address is added. Raises BadRequest: it is no upstream of this proxy."""
    if service:
        found = context.cluster_of_service(service)
        if not found:
            raise BadRequest(f"no upstream definition found for service {service}")
        return found
    place = local_address(uri)
    if place is None:
        raise BadRequest(f'invalid host for Target.URI "{uri}"')
    made: Resource = {
        "name": own_name,
        "type": "STATIC",
        "connect_timeout": connect,
        "load_assignment": {
            "cluster_name": own_name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket_address(*place)}}]}],
        },
    }
    if http2:
        options = typed(_HTTP, {"explicit_http_config": {"http2_protocol_options": {}}})
        made["typed_extension_protocol_options"] = {_HTTP: options}
    context.resources.clusters[own_name] = made
    return own_name


def _of_target(context: Context, target: Target, own_name: str, *, http2: bool) -> str:
    return cluster(context, target.service.name, target.uri, timeout(target.timeout), own_name, http2=http2)


def grpc_service(context: Context, service: GrpcService, own_name: str) -> Resource:
    """How Envoy is told of a gRPC service. Raises BadRequest."""
    envoy_grpc: Resource = {"cluster_name": _of_target(context, service.target, own_name, http2=True)}
    if service.authority:
        envoy_grpc["authority"] = service.authority
    made: Resource = {"envoy_grpc": envoy_grpc, "timeout": timeout(service.target.timeout)}
    if service.initial_metadata:
        made["initial_metadata"] = [{"key": one.key, "value": one.value} for one in service.initial_metadata]
    return made


def retry_policy(policy: RetryPolicy, base: str = "1s", most: str = "10s") -> Resource:
    """How often and when Envoy tries again."""
    back_off = policy.retry_back_off
    made: Resource = {
        "retry_back_off": {
            "base_interval": durations.of_text(back_off.base_interval or base),
            "max_interval": durations.of_text(back_off.max_interval or most),
        }
    }
    if policy.num_retries is not None and policy.num_retries >= 0:
        made["num_retries"] = policy.num_retries
    return made

"""`builtin/ext-authz` at work: a filter for requests, or for connections where the service speaks TCP.

Source: surface row M81; envoyproxy.io "External authorization" (HTTP and network filter); the recorded filter. What may
change here: nothing that is recorded.
"""

from __future__ import annotations

from meshagent.catalog.entries.extensions.ext_authz import Config, ExtAuthz, HttpService, StringMatcher
from meshagent.catalog.entries.extensions.target import local_address
from meshagent.connect.envoy.extensions import targets
from meshagent.connect.envoy.extensions.context import Context
from meshagent.connect.envoy.extensions.insertion import insert
from meshagent.connect.envoy.resources import Resource, typed
from meshagent.errors import BadRequest
from meshagent.hostport import join_host_port

__all__ = ["patch"]

_HTTP = "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz"
_NETWORK = "envoy.extensions.filters.network.ext_authz.v3.ExtAuthz"
_MANAGER, _TCP = "envoy.filters.network.http_connection_manager", "envoy.filters.network.tcp_proxy"
#: The cluster of an authorizer on this host.
_LOCAL = "local_ext_authz"
#: Always told: what the mesh knows of who calls.
_ALWAYS = "consul"


def patch(arguments: ExtAuthz, context: Context) -> None:
    """Raises BadRequest."""
    config, options = arguments.config, arguments.insert_options
    for _, chain in context.chains(arguments.listener_type):
        filters = chain.get("filters", [])
        last = filters[-1]["name"] if filters else ""
        if last == _MANAGER:
            made = {"name": "envoy.filters.http.ext_authz", "typed_config": typed(_HTTP, _http(config, context))}
            insert(filters[-1]["typed_config"]["http_filters"], made, options.location, options.filter_name)
        elif last == _TCP:
            made = {"name": "envoy.filters.network.ext_authz", "typed_config": typed(_NETWORK, _tcp(config, context))}
            insert(filters, made, options.location, options.filter_name)


def _shared(config: Config, context: Context) -> Resource:
    made: Resource = {
        "stat_prefix": config.stat_prefix,
        "transport_api_version": "V3",
        "failure_mode_allow": not context.required,
        "include_peer_certificate": config.include_peer_certificate,
    }
    if config.bootstrap_metadata_labels_key:
        made["bootstrap_metadata_labels_key"] = config.bootstrap_metadata_labels_key
    if config.grpc_service is not None:
        made["grpc_service"] = targets.grpc_service(context, config.grpc_service, _LOCAL)
    return made


def _tcp(config: Config, context: Context) -> Resource:
    if config.grpc_service is None:
        raise BadRequest("services that speak TCP are authorized by a GrpcService only")
    return _shared(config, context)


def _http(config: Config, context: Context) -> Resource:
    made = _shared(config, context)
    made["clear_route_cache"] = config.clear_route_cache
    made["status_on_error"] = {"code": config.status_on_error}
    told = [_ALWAYS, *(name for name in config.metadata_context_namespaces if name != _ALWAYS)]
    made["metadata_context_namespaces"] = told
    if config.http_service is not None:
        made["http_service"] = _http_service(config.http_service, context)
        if allowed := config.http_service.authorization_request.allowed_headers:
            made["allowed_headers"] = _patterns(allowed)
    if (body := config.with_request_body) is not None:
        made["with_request_body"] = {
            "max_request_bytes": body.max_request_bytes,
            "allow_partial_message": body.allow_partial_message,
            "pack_as_bytes": body.pack_as_bytes,
        }
    return made


def _http_service(service: HttpService, context: Context) -> Resource:
    target = service.target
    wait = targets.timeout(target.timeout)
    name = targets.cluster(context, target.service.name, target.uri, wait, _LOCAL, http2=False)
    place = local_address(target.uri)
    uri = f"http://{join_host_port(*place)}" if place is not None else f"http://{target.service.name}"
    made: Resource = {"server_uri": {"uri": uri, "cluster": name, "timeout": wait}}
    if service.path_prefix:
        made["path_prefix"] = service.path_prefix
    if added := service.authorization_request.headers_to_add:
        made["authorization_request"] = {"headers_to_add": [{"key": one.key, "value": one.value} for one in added]}
    answer = service.authorization_response
    matched = {
        "allowed_upstream_headers": answer.allowed_upstream_headers,
        "allowed_upstream_headers_to_append": answer.allowed_upstream_headers_to_append,
        "allowed_client_headers": answer.allowed_client_headers,
        "allowed_client_headers_on_success": answer.allowed_client_headers_on_success,
        "dynamic_metadata_from_headers": answer.dynamic_metadata_from_headers,
    }
    if said := {name: _patterns(matchers) for name, matchers in matched.items() if matchers}:
        made["authorization_response"] = said
    return made


def _patterns(matchers: tuple[StringMatcher, ...]) -> Resource:
    return {"patterns": [_pattern(one) for one in matchers]}


def _pattern(one: StringMatcher) -> Resource:
    if one.safe_regex:
        return {"safe_regex": {"regex": one.safe_regex}}
    texts = {"contains": one.contains, "exact": one.exact, "prefix": one.prefix, "suffix": one.suffix}
    made: Resource = {name: text for name, text in texts.items() if text}
    return {**made, "ignore_case": True} if one.ignore_case else made

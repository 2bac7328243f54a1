"""The bootstrap of an Envoy: who it is, where its agent is, what it tells of itself. All else comes over xDS.

    flags, environment, registration ──▶ Facts  ┐
    Proxy.Config of the registration ──▶ Wishes ┴─▶ text()

Keys are spelled as Consul spells them, camel case here and snake case there: scripts look for them.

Source: surface rows X1, X3, M73; developer.hashicorp.com/consul/docs/connect/proxies/envoy ("Bootstrap configuration",
"Advanced bootstrap options"); the recorded bootstraps (tests/data/golden/mesh/bootstrap). What may change here: further
keys of the configuration. A template that people have written reads the names of `_template_data`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from meshagent.catalog.model import AccessLogs
from meshagent.connect.collecting import socket_at
from meshagent.connect.envoy import access_logs, bootstrap_parts, stats
from meshagent.connect.envoy.bootstrap_parts import Prometheus
from meshagent.connect.envoy.go_template import render
from meshagent.connect.envoy.resources import Resource, typed
from meshagent.errors import BadRequest

__all__ = ["LOCAL_AGENT", "Facts", "GrpcPlace", "Prometheus", "Wishes", "split_bind", "text"]

#: The cluster by which an Envoy reaches its agent.
LOCAL_AGENT = "local_agent"
_SELF_ADMIN, _BACKEND = "self_admin", "prometheus_backend"
#: Expressions of intentions and routes may be as large as Consul allows them to be.
_PROGRAM_SIZE = 1 << 20


@dataclass(frozen=True, slots=True)
class GrpcPlace:
    """Where the agent serves xDS: an IP address and a port, or the path of a socket."""

    address: str = ""
    port: int = 0
    socket: str = ""
    tls: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known before anything is configured. `admin_address` is an IP address, `ca_pem` of the agent's TLS."""

    proxy_id: str
    cluster: str
    source_service: str = ""
    node_name: str = ""
    namespace: str = ""
    partition: str = ""
    datacenter: str = ""
    grpc: GrpcPlace = GrpcPlace()
    ca_pem: str = ""
    token: str = ""
    admin_address: str = "127.0.0.1"
    admin_port: int = 19000
    admin_access_log_path: str = "/dev/null"
    access_logs: AccessLogs | None = None
    prometheus: Prometheus = field(default_factory=Prometheus)
    ready_bind: str = ""
    """ip:port at which `/ready` answers; "" for none."""
    omit_deprecated_tags: bool = False


@dataclass(frozen=True, slots=True)
class Wishes:
    """The keys of `Proxy.Config` that are about the bootstrap; texts as they were written, "" for none."""

    envoy_statsd_url: str = ""
    envoy_dogstatsd_url: str = ""
    envoy_stats_tags: tuple[str, ...] = ()
    envoy_stats_flush_interval: str = ""
    envoy_stats_config_json: str = ""
    envoy_prometheus_bind_addr: str = ""
    envoy_stats_bind_addr: str = ""
    envoy_telemetry_collector_bind_socket_dir: str = ""
    envoy_tracing_json: str = ""
    envoy_extra_static_clusters_json: str = ""
    envoy_extra_static_listeners_json: str = ""
    envoy_extra_stats_sinks_json: str = ""
    envoy_bootstrap_json_tpl: str = ""

    @classmethod
    def of(cls, config: Mapping[str, Any] | None) -> Wishes:
        """Those of an opaque configuration; numbers count as texts, one tag as a list of it.

        Raises:
            BadRequest: a value is neither.
        """
        found: dict[str, Any] = {}
        for key in cls.__dataclass_fields__:
            value = (config or {}).get(key)
            if value is None:
                continue
            if key == "envoy_stats_tags":
                many = value if isinstance(value, (list, tuple)) else [value]
                found[key] = tuple(_written(key, one) for one in many)
            else:
                found[key] = _written(key, value)
        return cls(**found)


def text(facts: Facts, wishes: Wishes, environment: Mapping[str, str]) -> str:
    """The bootstrap as indented JSON. `environment` gives the variables that addresses of sinks name.

    Raises:
        BadRequest: something in the configuration cannot be used; the message names it.
    """
    if facts.grpc.tls and not facts.ca_pem:
        raise BadRequest(
            "the agent's gRPC is asked for over TLS, and no authority is known to verify it by: set -grpc-ca-file or "
            "-grpc-ca-path (CONSUL_GRPC_CACERT, CONSUL_GRPC_CAPATH)"
        )
    parts = _parts(facts, wishes, environment)
    if wishes.envoy_bootstrap_json_tpl:
        written = render(wishes.envoy_bootstrap_json_tpl, _template_data(facts, parts))
        made = _json("envoy_bootstrap_json_tpl", written)
    else:
        made = _assembled(facts, parts)
    return json.dumps(made, indent=2, ensure_ascii=False)


def split_bind(key: str, address: str) -> tuple[str, int]:
    """("::1", 80) of "[::1]:80". Raises BadRequest, naming `key`."""
    host, colon, port = address.rpartition(":")
    good = colon and port.isascii() and port.isdigit() and int(port) < 65536 and (":" not in host or host[:1] == "[")
    if not good:
        raise BadRequest(f'{key}: "{address}" is not ip:port')
    return host.strip("[]"), int(port)


# --- parts ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Parts:
    clusters: list[Resource]
    listeners: list[Resource]
    secrets: list[Resource]
    sinks: list[Resource]
    stats_config: Resource
    flush_interval: str
    tracing: Resource | None
    admin_logs: list[Resource]


def _parts(facts: Facts, wishes: Wishes, environment: Mapping[str, str]) -> _Parts:
    clusters = _objects("envoy_extra_static_clusters_json", wishes.envoy_extra_static_clusters_json)
    listeners = _objects("envoy_extra_static_listeners_json", wishes.envoy_extra_static_listeners_json)
    secrets: list[Resource] = []
    own = facts.prometheus

    def add(cluster: Resource) -> None:
        if all(one.get("name") != cluster["name"] for one in clusters):
            clusters.append(cluster)

    admin = bootstrap_parts.neighbour(_SELF_ADMIN, facts.admin_address, facts.admin_port)
    if wishes.envoy_prometheus_bind_addr:
        behind = admin
        if own.backend_port:
            behind = bootstrap_parts.neighbour(_BACKEND, facts.admin_address, own.backend_port)
        add(behind)
        bind = split_bind("envoy_prometheus_bind_addr", wishes.envoy_prometheus_bind_addr)
        path = urlsplit("/" + own.scrape_path.lstrip("/")).path
        listeners.append(
            bootstrap_parts.listener(
                "envoy_prometheus_metrics", bind, {"path": path}, "/stats/prometheus", behind["name"], own
            )
        )
        secrets += bootstrap_parts.secrets(own)
    if wishes.envoy_stats_bind_addr:
        add(admin)
        bind = split_bind("envoy_stats_bind_addr", wishes.envoy_stats_bind_addr)
        listeners.append(bootstrap_parts.listener("envoy_metrics", bind, {"prefix": "/stats"}, "/stats", _SELF_ADMIN))
    if facts.ready_bind:
        add(admin)
        bind = split_bind("-envoy-ready-bind-address", facts.ready_bind)
        listeners.append(bootstrap_parts.listener("envoy_ready", bind, {"path": "/ready"}, "/ready", _SELF_ADMIN))
    addresses = {"envoy_statsd_url": wishes.envoy_statsd_url, "envoy_dogstatsd_url": wishes.envoy_dogstatsd_url}
    sinks = [stats.sink(key, address, environment) for key, address in addresses.items() if address]
    sinks += _objects("envoy_extra_stats_sinks_json", wishes.envoy_extra_stats_sinks_json)
    if directory := wishes.envoy_telemetry_collector_bind_socket_dir:
        sinks.append(bootstrap_parts.collector_sink())
        clusters.append(bootstrap_parts.collector_cluster(socket_at(directory, facts.proxy_id, facts.namespace)))
    return _Parts(
        clusters=clusters,
        listeners=listeners,
        secrets=secrets,
        sinks=sinks,
        stats_config=_stats_config(facts, wishes),
        flush_interval=wishes.envoy_stats_flush_interval,
        tracing=_json("envoy_tracing_json", wishes.envoy_tracing_json) if wishes.envoy_tracing_json else None,
        admin_logs=_admin_logs(facts.access_logs),
    )


def _stats_config(facts: Facts, wishes: Wishes) -> Resource:
    if wishes.envoy_stats_config_json:
        return _json("envoy_stats_config_json", wishes.envoy_stats_config_json)
    fixed = (
        ("local_cluster", facts.cluster),
        ("consul.source.service", facts.source_service),
        ("consul.source.namespace", facts.namespace or "default"),
        ("consul.source.partition", facts.partition or "default"),
        ("consul.source.datacenter", facts.datacenter),
    )
    made = stats.tags(wishes.envoy_stats_tags, fixed, omit_deprecated=facts.omit_deprecated_tags)
    return {"stats_tags": made, "use_all_default_tags": True}


def _admin_logs(logs: AccessLogs | None) -> list[Resource]:
    return [_camel(one) for one in access_logs.filter_logs(logs)] if logs is not None and logs.enabled else []


def _camel(resource: Any) -> Any:
    """The other spelling of a resource's fields; what stands in "json_format" has names of its own."""
    if not isinstance(resource, dict):
        return resource
    found = {}
    for key, value in resource.items():
        first, *rest = key.split("_")
        name = key if key.startswith("@") else first + "".join(word.capitalize() for word in rest)
        found[name] = value if key == "json_format" else _camel(value)
    return found


# --- the whole ------------------------------------------------------------------------------------------------------


def _assembled(facts: Facts, parts: _Parts) -> Resource:
    grpc = facts.grpc
    agent = bootstrap_parts.cluster(
        LOCAL_AGENT,
        "1s",
        {"pipe": {"path": grpc.socket}} if grpc.socket else bootstrap_parts.place(grpc.address, grpc.port),
        {"http2_protocol_options": {}},
    )
    if grpc.tls:
        context = {"common_tls_context": {"validation_context": {"trusted_ca": {"inline_string": facts.ca_pem}}}}
        kind = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
        agent["transport_socket"] = {"name": "tls", "typed_config": typed(kind, context)}
    file_log = typed("envoy.extensions.access_loggers.file.v3.FileAccessLog", {"path": facts.admin_access_log_path})
    over_ads = {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"}
    static: Resource = {"clusters": [agent, *parts.clusters]}
    if parts.listeners:
        static["listeners"] = parts.listeners
    if parts.secrets:
        static["secrets"] = parts.secrets
    made: Resource = {
        "admin": {
            "access_log": parts.admin_logs or [{"name": "envoy.access_loggers.file", "typed_config": file_log}],
            "address": bootstrap_parts.place(facts.admin_address, facts.admin_port),
        },
        "node": {
            "cluster": facts.cluster,
            "id": facts.proxy_id,
            "metadata": {
                **({"node_name": facts.node_name} if facts.node_name else {}),
                "namespace": facts.namespace or "default",
                "partition": facts.partition or "default",
            },
        },
        "layered_runtime": {
            "layers": [{"name": "base", "static_layer": {"re2.max_program_size.error_level": _PROGRAM_SIZE}}]
        },
        "static_resources": static,
    }
    if parts.sinks:
        made["stats_sinks"] = parts.sinks
    made["stats_config"] = parts.stats_config
    if parts.flush_interval:
        made["stats_flush_interval"] = parts.flush_interval
    if parts.tracing is not None:
        made["tracing"] = parts.tracing
    made["dynamic_resources"] = {
        "lds_config": over_ads,
        "cds_config": over_ads,
        "ads_config": {
            "api_type": "DELTA_GRPC",
            "transport_api_version": "V3",
            "grpc_services": {
                "initial_metadata": [{"key": "x-consul-token", "value": facts.token}],
                "envoy_grpc": {"cluster_name": LOCAL_AGENT},
            },
        },
    }
    return made


def _template_data(facts: Facts, parts: _Parts) -> dict[str, Any]:
    """Consul's names of what a template of one's own may use."""
    grpc, own = facts.grpc, facts.prometheus
    where = {
        "AgentAddress": grpc.address,
        "AgentPort": str(grpc.port or ""),
        "AgentTLS": grpc.tls,
        "AgentSocket": grpc.socket,
    }
    return {
        **where,
        "GRPC": where,
        "ProxyCluster": facts.cluster,
        "ProxyID": facts.proxy_id,
        "NodeName": facts.node_name,
        "ProxySourceService": facts.source_service,
        "AgentCAPEM": facts.ca_pem.replace("\n", "\\n"),
        "AdminAccessLogConfig": [json.dumps(one) for one in parts.admin_logs],
        "AdminAccessLogPath": facts.admin_access_log_path,
        "AdminBindAddress": facts.admin_address,
        "AdminBindPort": str(facts.admin_port),
        "LocalAgentClusterName": LOCAL_AGENT,
        "Token": facts.token,
        "StaticClustersJSON": _joined(parts.clusters),
        "StaticListenersJSON": _joined(parts.listeners),
        "StaticSecretsJSON": _joined(parts.secrets),
        "StatsSinksJSON": _joined(parts.sinks),
        "StatsConfigJSON": json.dumps(parts.stats_config),
        "StatsFlushInterval": parts.flush_interval,
        "TracingConfigJSON": json.dumps(parts.tracing) if parts.tracing is not None else "",
        "Namespace": facts.namespace,
        "Partition": facts.partition,
        "Datacenter": facts.datacenter,
        "PrometheusBackendPort": str(own.backend_port or ""),
        "PrometheusScrapePath": own.scrape_path,
        "PrometheusCAFile": own.ca_file,
        "PrometheusCAPath": own.ca_path,
        "PrometheusCertFile": own.cert_file,
        "PrometheusKeyFile": own.key_file,
    }


def _joined(objects: list[Resource]) -> str:
    return ",\n".join(json.dumps(one) for one in objects)


# --- what people wrote ----------------------------------------------------------------------------------------------


def _written(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise BadRequest(f"failed parsing Proxy.Config: {key} is no text")


def _json(key: str, written: str) -> Resource:
    """One JSON object."""
    try:
        value = json.loads(written)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"{key} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise BadRequest(f"{key} is no JSON object")
    return value


def _objects(key: str, written: str) -> list[Resource]:
    """JSON objects with commas between them, as they stand in a list."""
    try:
        values = json.loads(f"[{written}]")
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"{key} is not JSON: {error}") from None
    if not all(isinstance(one, dict) for one in values):
        raise BadRequest(f"{key}: JSON objects are wanted, with commas between them")
    return list(values)

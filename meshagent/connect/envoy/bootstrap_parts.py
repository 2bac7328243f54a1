"""The fixed parts of a bootstrap: clusters on this host, and the small listeners that show a little of the admin
interface: metrics, readiness.

Keys are spelled as Consul spells them, camel case here and snake case there: scripts look for them.

Source: surface rows X1, X3; the recorded bootstraps (tests/data/golden/mesh/bootstrap). What may change here: nothing
that is recorded.
"""

from __future__ import annotations

from dataclasses import dataclass

from meshagent.connect.envoy.resources import Resource, typed

__all__ = ["Prometheus", "cluster", "collector_cluster", "collector_sink", "listener", "neighbour", "place", "secrets"]

_HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_COLLECTOR = "consul_telemetry_collector_loopback"


@dataclass(frozen=True, slots=True)
class Prometheus:
    """How metrics are read at `envoy_prometheus_bind_addr`. `ca_pem` verifies who reads; all files or none."""

    backend_port: int = 0
    """Of another process on this host that is asked in Envoy's place; 0 for none."""
    scrape_path: str = "/metrics"
    ca_file: str = ""
    ca_path: str = ""
    ca_pem: str = ""
    cert_file: str = ""
    key_file: str = ""


def place(address: str, port: int) -> Resource:
    return {"socket_address": {"address": address, "port_value": port}}


def cluster(name: str, connect_timeout: str, place: Resource, protocol: Resource) -> Resource:
    return {
        "name": name,
        # There for one reason: a reader takes it for the third version of the API.
        "ignore_health_on_host_removal": False,
        "connect_timeout": connect_timeout,
        "type": "STATIC",
        "typed_extension_protocol_options": {_HTTP: typed(_HTTP, {"explicit_http_config": protocol})},
        "loadAssignment": {
            "clusterName": name,
            "endpoints": [{"lbEndpoints": [{"endpoint": {"address": place}}]}],
        },
    }


def neighbour(name: str, address: str, port: int) -> Resource:
    return cluster(name, "5s", place(address, port), {"http_protocol_options": {}})


def listener(
    name: str, bind: tuple[str, int], match: Resource, rewrite: str, cluster: str, tls: Prometheus | None = None
) -> Resource:
    """Only `match` is passed on to `cluster`, everything else is not found."""
    manager = {
        "stat_prefix": name,
        "codec_type": "HTTP1",
        "route_config": {
            "name": "self_admin_route",
            "virtual_hosts": [
                {
                    "name": "self_admin",
                    "domains": ["*"],
                    "routes": [
                        {"match": match, "route": {"cluster": cluster, "prefix_rewrite": rewrite}},
                        {"match": {"prefix": "/"}, "direct_response": {"status": 404}},
                    ],
                }
            ],
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typedConfig": typed("envoy.extensions.filters.http.router.v3.Router"),
            }
        ],
    }
    kind = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    chain: Resource = {
        "filters": [{"name": "envoy.filters.network.http_connection_manager", "typedConfig": typed(kind, manager)}]
    }
    if tls is not None and tls.cert_file:
        chain["transportSocket"] = _scraped_over_tls()
    return {"name": f"{name}_listener", "address": place(*bind), "filter_chains": [chain]}


def _scraped_over_tls() -> Resource:
    context = {
        "commonTlsContext": {
            "tlsCertificateSdsSecretConfigs": [{"name": "prometheus_cert"}],
            "validationContextSdsSecretConfig": {"name": "prometheus_validation_context"},
        }
    }
    kind = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
    return {"name": "tls", "typedConfig": typed(kind, context)}


def secrets(own: Prometheus) -> list[Resource]:
    if not own.cert_file:
        return []
    certificate = {"certificateChain": {"filename": own.cert_file}, "privateKey": {"filename": own.key_file}}
    # A directory has no place of its own in Envoy: what is in it is said here.
    trusted = {"filename": own.ca_file} if own.ca_file else {"inlineString": own.ca_pem}
    return [
        {"name": "prometheus_cert", "tlsCertificate": certificate},
        {"name": "prometheus_validation_context", "validationContext": {"trustedCa": trusted}},
    ]


def collector_sink() -> Resource:
    service = {
        "transport_api_version": "V3",
        "grpc_service": {"envoy_grpc": {"cluster_name": _COLLECTOR}},
        "emit_tags_as_labels": True,
    }
    kind = "envoy.config.metrics.v3.MetricsServiceConfig"
    return {"name": "envoy.stat_sinks.metrics_service", "typed_config": typed(kind, service)}


def collector_cluster(path: str) -> Resource:
    return cluster(_COLLECTOR, "1s", {"pipe": {"path": path}}, {"http2_protocol_options": {}})

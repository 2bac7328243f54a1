"""Options of the mesh, and of metrics about everything (surface rows G23 and G27).

Source: developer.hashicorp.com/consul/docs/agent/config/config-files. One row an option.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshagent.agent.config.option import Group, duration, free, number, switch, text, words

__all__ = ["XDS", "ConfigEntries", "Connect", "LocalityConfig", "Peering", "Telemetry"]


class Connect(Group):
    """Mutual TLS between services, with identities."""

    enabled: bool = switch(True, "Servers: run the CA and answer mesh requests.")
    ca_provider: str = text("consul", "Who signs.", choices=("consul", "vault", "aws-pca"))
    ca_config: Mapping[str, Any] = free("Options of the provider; read when a cluster is new.", secret=True)
    ca_key_file: str = text(
        "",
        "Servers: file with base64 of 32 bytes (see keygen) that seals the private key of the CA in the replicated "
        "store; the same on every server. Without it the key is stored unsealed.",
    )
    builtin_proxy: str = text(
        "off",
        "managed: the agent keeps one process running with the sidecars of all proxies that are registered here. It "
        "survives the agent's restart.",
        choices=("off", "managed"),
    )
    enable_mesh_gateway_wan_federation: bool = switch(False, "Servers of datacenters talk through mesh gateways only.")
    enable_serverless_plugin: bool = switch(False, "Upstream's AWS Lambda support.", inert=True)


class Peering(Group):
    """Exchange of services with other clusters."""

    enabled: bool = switch(True, "Servers: take part.")


class XDS(Group):
    """Configuration of Envoy."""

    update_max_per_second: float = number(
        250.0, "Updates a second over all proxies of this agent; lower spares the CPU.", unit="1/s", reload=True
    )


class ConfigEntries(Group):
    """Config entries to make when a cluster is new, if they are not there."""

    bootstrap: tuple[Mapping[str, Any], ...] = free("The entries.", listed=True, reload=True)


class LocalityConfig(Group):
    """Where this host is."""

    region: str = text("", "Region.")
    zone: str = text("", "Zone; needs a region.")


class Telemetry(Group):
    """Metrics of this agent, kept in memory and sent out."""

    disable_hostname: bool = switch(False, "Leave the host's name out of gauges.")
    enable_host_metrics: bool = switch(False, "Also processors, memory, disk and uptime of the host.")
    filter_default: bool = switch(True, "Whether metrics that no `prefix_filter` names are kept.", reload=True)
    prefix_filter: tuple[str, ...] = words(
        "`+consul.x` keeps, `-consul.x` drops what begins so; the longest counts.", reload=True
    )
    metrics_prefix: str = text("consul", "First word of every name; dashboards expect the default.")
    prometheus_retention_time: float = duration(
        0.0, "How long a metric that is no longer set is still shown to Prometheus; 0 switches it off.", low=0
    )
    statsd_address: str = text("", "statsd server, host:port.")
    statsite_address: str = text("", "statsite server, host:port.")
    dogstatsd_addr: str = text("", "DogStatsD server, host:port or unix path.")
    dogstatsd_tags: tuple[str, ...] = words("Tags for it, key:value.")
    disable_per_tenancy_usage_metrics: bool = switch(False, "There are no tenants here to tell apart.", inert=True)
    retry_failed_connection: bool = switch(True, "Try again when the metrics server cannot be reached at start.")
    circonus_api_token: str = text("", "Circonus is not built.", inert=True, secret=True)
    circonus_api_app: str = text("", "Circonus is not built.", inert=True)
    circonus_api_url: str = text("", "Circonus is not built.", inert=True)
    circonus_submission_url: str = text("", "Circonus is not built.", inert=True)
    circonus_submission_interval: str = text("", "Circonus is not built.", inert=True)
    circonus_check_id: str = text("", "Circonus is not built.", inert=True)
    circonus_check_force_metric_activation: str = text("", "Circonus is not built.", inert=True)
    circonus_check_instance_id: str = text("", "Circonus is not built.", inert=True)
    circonus_check_search_tag: str = text("", "Circonus is not built.", inert=True)
    circonus_check_display_name: str = text("", "Circonus is not built.", inert=True)
    circonus_check_tags: str = text("", "Circonus is not built.", inert=True)
    circonus_broker_id: str = text("", "Circonus is not built.", inert=True)
    circonus_broker_select_tag: str = text("", "Circonus is not built.", inert=True)

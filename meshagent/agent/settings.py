"""From the configuration to the settings of each part, all in one place.

Rooms do not know `agent.config`: each has its own small settings value, and this module fills them in. Pure; a reload
calls the same functions again. Adding an option that a part needs: a field in the part's settings, a line here.
"""

from __future__ import annotations

import ipaddress
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from meshagent.agent.checks.probe import CheckSettings
from meshagent.agent.checks.tls import AgentTls
from meshagent.agent.http.ratelimit import RateSettings
from meshagent.agent.http.settings import HttpSettings
from meshagent.agent.logs import LogSettings
from meshagent.agent.registration import LocalSettings
from meshagent.catalog.rpc.settings import RpcSettings, TlsSettings
from meshagent.dns.settings import DnsSettings, Soa
from meshagent.errors import ConfigError
from meshagent.ids import is_uuid
from meshagent.metrics import MetricsSettings

if TYPE_CHECKING:
    from meshagent.agent.config import Config
    from meshagent.agent.config.serving import UIConfig
    from meshagent.catalog.autopilot.configuration import AutopilotConfig
    from meshagent.catalog.raft.settings import RaftSettings
    from meshagent.connect.authority import AuthoritySettings

__all__ = [
    "authority_settings",
    "autopilot_bootstrap",
    "check_settings",
    "dns_settings",
    "fixed_cluster_id",
    "http_settings",
    "local_settings",
    "log_settings",
    "metrics_settings",
    "raft_settings",
    "refuse_unusable",
    "rpc_settings",
    "server_address",
    "tls_settings",
    "ui_metrics",
]


def log_settings(config: Config) -> LogSettings:
    """Where log lines go."""
    return LogSettings(
        level=config.log_level,
        json=config.log_json,
        file=config.log_file,
        rotate_duration_s=config.log_rotate_duration,
        rotate_bytes=config.log_rotate_bytes,
        rotate_max_files=config.log_rotate_max_files,
        syslog=config.enable_syslog,
        syslog_facility=config.syslog_facility,
    )


def metrics_settings(config: Config, hostname: str = "") -> MetricsSettings:
    """What is measured and under which names (surface row G27)."""
    telemetry = config.telemetry
    rules = telemetry.prefix_filter
    return MetricsSettings(
        prefix=telemetry.metrics_prefix,
        hostname="" if telemetry.disable_hostname else hostname,
        prometheus_retention_s=telemetry.prometheus_retention_time,
        allow=tuple(rule[1:] for rule in rules if rule.startswith("+")),
        block=tuple(rule[1:] for rule in rules if rule.startswith("-")),
        filter_default=telemetry.filter_default,
    )


def raft_settings(config: Config) -> RaftSettings:
    """How the log behaves (surface row G21)."""
    from meshagent.catalog.raft.settings import RaftSettings  # servers only

    return RaftSettings(
        snapshot_threshold=config.raft_snapshot_threshold,
        snapshot_interval_s=config.raft_snapshot_interval,
        trailing_logs=config.raft_trailing_logs,
        multiplier=config.performance.raft_multiplier,
    )


def rpc_settings(config: Config) -> RpcSettings:
    """What the RPC port allows (surface rows G20, G21)."""
    limits = config.limits
    return RpcSettings(
        handshake_timeout_s=limits.rpc_handshake_timeout,
        client_timeout_s=limits.rpc_client_timeout,
        hold_timeout_s=config.performance.rpc_hold_timeout,
        max_conns_per_client=limits.rpc_max_conns_per_client,
    )


def tls_settings(config: Config) -> TlsSettings:
    """How the RPC port is secured (surface row G15)."""
    tls = config.tls.internal_rpc
    return TlsSettings(
        ca_file=tls.ca_file or "",
        ca_path=tls.ca_path or "",
        cert_file=tls.cert_file or "",
        key_file=tls.key_file or "",
        min_version=tls.tls_min_version or "TLSv1_2",
        cipher_suites=tls.tls_cipher_suites or "",
        verify_incoming=bool(tls.verify_incoming),
        verify_outgoing=bool(tls.verify_outgoing),
        verify_server_hostname=tls.verify_server_hostname,
    )


def server_address(config: Config) -> str:
    """`host:port` at which the other servers reach this one."""
    host, port = config.network.advertise_addr, config.ports.server
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def autopilot_bootstrap(config: Config) -> AutopilotConfig:
    """How the leader of a new cluster cares for its servers; later the replicated configuration counts (OP4)."""
    from meshagent.catalog.autopilot.configuration import AutopilotConfig  # servers only

    block = config.autopilot
    return AutopilotConfig(
        cleanup_dead_servers=block.cleanup_dead_servers,
        last_contact_threshold=round(block.last_contact_threshold * 1e9),
        max_trailing_logs=block.max_trailing_logs,
        min_quorum=block.min_quorum,
        server_stabilization_time=round(block.server_stabilization_time * 1e9),
    )


def local_settings(config: Config) -> LocalSettings:
    """How this host's registrations are treated (surface rows G12, G22)."""
    return LocalSettings(
        check_update_interval_s=config.check_update_interval,
        discard_check_output=config.discard_check_output,
        check_reap_interval_s=config.check_reap_interval,
        check_deregister_min_s=config.check_deregister_interval_min,
        sidecar_min_port=config.ports.sidecar_min_port,
        sidecar_max_port=config.ports.sidecar_max_port,
        expose_min_port=config.ports.expose_min_port,
        expose_max_port=config.ports.expose_max_port,
        enable_script_checks=config.enable_script_checks,
        enable_local_script_checks=config.enable_local_script_checks,
    )


def check_settings(config: Config, docker_host: str = "") -> CheckSettings:
    """How checks run (surface rows G22, K20)."""
    tls = config.tls.https
    agent_tls = None
    if config.enable_agent_tls_for_checks:
        agent_tls = AgentTls(
            cert_file=tls.cert_file or "",
            key_file=tls.key_file or "",
            ca_file=tls.ca_file or "",
            ca_path=tls.ca_path or "",
            server_name=config.server_name,
        )
    return CheckSettings(
        output_max_size=config.check_output_max_size,
        discard_check_output=config.discard_check_output,
        agent_tls=agent_tls,
        docker_host=docker_host,
    )


def dns_settings(config: Config) -> DnsSettings:
    """How names are answered (surface row G18). TTLs are whole seconds."""
    dns = config.dns_config
    soa = dns.soa
    return DnsSettings(
        domain=config.domain,
        alt_domain=config.alt_domain,
        node_ttl_s=int(dns.node_ttl),
        service_ttl_s={name: int(ttl) for name, ttl in dns.service_ttl.items()},
        soa=Soa(refresh=soa.refresh, retry=soa.retry, expire=soa.expire, min_ttl=soa.min_ttl),
        only_passing=dns.only_passing,
        udp_answer_limit=dns.udp_answer_limit,
        a_record_limit=dns.a_record_limit,
        enable_truncate=dns.enable_truncate,
        disable_compression=dns.disable_compression,
        enable_additional_node_meta_txt=dns.enable_additional_node_meta_txt,
        recursors=config.recursors,
        recursor_strategy=dns.recursor_strategy,
        recursor_timeout_s=dns.recursor_timeout,
        allow_stale=dns.allow_stale,
        max_stale_s=dns.max_stale,
    )


def http_settings(config: Config) -> HttpSettings:
    """How the HTTP API answers (surface rows G19, G20, G25)."""
    http = config.http_config
    return HttpSettings(
        response_headers=tuple(http.response_headers.items()),
        block_endpoints=http.block_endpoints,
        allow_write_from=tuple(ipaddress.ip_network(cidr, strict=False) for cidr in http.allow_write_http_from),
        use_cache=http.use_cache,
        max_header_bytes=http.max_header_bytes,
        filter_unprintable=not config.disable_http_unprintable_char_filter,
        pretty=config.dev_mode,
        default_query_time_s=config.default_query_time,
        max_query_time_s=config.max_query_time,
        discovery_max_stale_s=config.discovery_max_stale,
        kv_max_value_size=config.limits.kv_max_value_size,
        txn_max_req_len=config.limits.txn_max_req_len,
        max_conns_per_client=config.limits.http_max_conns_per_client,
        default_policy="deny" if config.acl.enabled and config.acl.default_policy == "deny" else "allow",
        enable_debug=config.enable_debug,
        ui_enabled=config.ui_config.enabled or bool(config.ui_config.dir),
        ui_dir=config.ui_config.dir,
        ui_path=config.ui_config.content_path,
        ui_metrics=ui_metrics(config.ui_config),
        ui_scripts=config.ui_config.metrics_provider_files,
        translate_wan_addrs=config.translate_wan_addrs,
        rates=RateSettings(
            mode=config.limits.request_limits.mode,
            read_rate=config.limits.request_limits.read_rate,
            write_rate=config.limits.request_limits.write_rate,
        ),
        https_handshake_timeout_s=config.limits.https_handshake_timeout,
        use_streaming=config.use_streaming_backend and config.rpc.enable_streaming,
    )


def ui_metrics(ui: UIConfig) -> str:
    """What the web page is told of `ui_config.metrics_provider` and dashboards, as a JSON object."""
    if not ui.metrics_provider and not ui.dashboard_url_templates:
        return "{}"
    options = json.loads(ui.metrics_provider_options_json or "{}")
    about = {
        "provider": ui.metrics_provider,
        "options": options,
        "proxied": bool(ui.metrics_proxy.base_url),
        "scripts": bool(ui.metrics_provider_files),
        "dashboards": dict(ui.dashboard_url_templates),
    }
    return json.dumps(about, separators=(",", ":"))


def authority_settings(config: Config) -> AuthoritySettings:
    """How the certificate authority of a new cluster begins (surface row G23), and what seals its key.

    Raises:
        ConfigError: the key file cannot be used.
    """
    from meshagent.connect.authority import AuthoritySettings  # servers only
    from meshagent.connect.ca_config import named
    from meshagent.connect.sealing import SealingKey

    connect = config.connect
    sealing = None
    if connect.ca_key_file:
        try:
            text = Path(connect.ca_key_file).read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"connect.ca_key_file: cannot read {connect.ca_key_file}: {error}") from error
        sealing = SealingKey.parse(text, connect.ca_key_file)
    keys = {key: value for key, value in named(connect.ca_config).items() if key != "cluster_id"}
    return AuthoritySettings(connect.ca_provider, keys, sealing, cluster_id=fixed_cluster_id(config))


def fixed_cluster_id(config: Config) -> str:
    """The id that a new cluster is to have, and so its trust domain; "" for a random one. Tests want names that stay.

    Raises:
        ConfigError: it is no UUID.
    """
    given = config.connect.ca_config.get("cluster_id", "")
    if given and not (isinstance(given, str) and is_uuid(given)):
        raise ConfigError(f"connect.ca_config.cluster_id: {given!r} is not a UUID")
    return str(given)


def socket_mode(text: str) -> int | None:
    """The permission bits of `unix_sockets.mode` ("0770"), or None when it is not set."""
    return int(text, 8) if re.fullmatch(r"0?[0-7]{3,4}", text) else None


def refuse_unusable(config: Config) -> None:
    """Say clearly what cannot be used, before anything is touched. Raises ConfigError."""
    if config.config_entries.bootstrap:
        from meshagent.agent.entry_bootstrap import entries_of

        entries_of(config)

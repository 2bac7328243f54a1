"""The running configuration under Consul's internal names, as `agent/self` shows it in `DebugConfig`.

Source: surface row A1; tests/data/golden/http/agent-self-shape.json. Tools read it: `consul connect envoy` looks for
`GRPCPort` and `GRPCTLSPort`, Nomad for `DNSPort` and `DNSAddrs`, dashboards for `ConnectEnabled`. One table: the name
there, and the option here or the constant. Secrets show as `hidden`. What may change here: rows may be added; what
Consul has and we have not keeps Consul's default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meshagent import CONSUL_VERSION
from meshagent.agent.decode import to_builtins
from meshagent.durations import format_duration

if TYPE_CHECKING:
    from meshagent.agent.config import Config

__all__ = ["debug_config"]


@dataclass(frozen=True, slots=True)
class _Option:
    """An option by its full key in a configuration file, and how its value is shown."""

    key: str
    show: Callable[[Any], Any]


def _plain(key: str) -> _Option:
    return _Option(key, _builtin)


def _duration(key: str) -> _Option:
    return _Option(key, lambda seconds: format_duration(round((seconds or 0) * 1e9)))


def _secret(key: str) -> _Option:
    return _Option(key, lambda value: "hidden" if value else "")


def _words(key: str) -> _Option:
    return _Option(key, lambda value: [word.strip() for word in (value or "").split(",") if word.strip()])


def _builtin(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, tuple | list):
        return [_builtin(inner) for inner in value]
    if isinstance(value, dict):
        return {key: _builtin(inner) for key, inner in value.items()}
    return to_builtins(value)


def _own(key: str) -> _Option:
    """An address where this agent listens or that it tells, out of `config.network`."""
    return _Option(f"network.{key}", lambda value: "" if value is None else str(value))


def _listening(key: str, *schemes: str) -> _Option:
    def show(places: Iterable[Any]) -> list[str]:
        return [
            str(place) if place.path else f"{scheme}://{place}" for place in places for scheme in schemes or ("tcp",)
        ]

    return _Option(f"network.{key}", show)


def _tls(kind: str) -> dict[str, Any]:
    key = f"tls.{kind}."
    return {
        "CAFile": _plain(key + "ca_file"),
        "CAPath": _plain(key + "ca_path"),
        "CertFile": _plain(key + "cert_file"),
        "CipherSuites": _words(key + "tls_cipher_suites"),
        "KeyFile": _secret(key + "key_file"),
        "TLSMinVersion": _plain(key + "tls_min_version"),
        "UseAutoCert": _plain(key + "use_auto_cert") if kind == "grpc" else False,
        "VerifyIncoming": _Option(key + "verify_incoming", bool),
        "VerifyOutgoing": _Option(key + "verify_outgoing", bool),
        "VerifyServerHostname": _plain(key + "verify_server_hostname") if kind == "internal_rpc" else False,
    }


def _gossip(pool: str) -> dict[str, Any]:
    name = f"Gossip{pool.upper()}"
    key = f"gossip_{pool}."
    return {
        f"{name}GossipInterval": _duration(key + "gossip_interval"),
        f"{name}GossipNodes": _plain(key + "gossip_nodes"),
        f"{name}ProbeInterval": _duration(key + "probe_interval"),
        f"{name}ProbeTimeout": _duration(key + "probe_timeout"),
        f"{name}RetransmitMult": _plain(key + "retransmit_mult"),
        f"{name}SuspicionMult": _plain(key + "suspicion_mult"),
    }


def _allowed(sign: str) -> _Option:
    return _Option("telemetry.prefix_filter", lambda rules: [rule[1:] for rule in rules if rule.startswith(sign)])


def _blocked() -> _Option:
    """What Consul drops unless told otherwise stands first."""
    shown = _allowed("-").show
    return _Option("telemetry.prefix_filter", lambda rules: ["consul.rpc.server.call", *shown(rules)])


_MODES = {"disabled": 0, "permissive": 1, "enforcing": 2}
_STATIC = "auto_config.authorization.static."

_TABLE: dict[str, Any] = {
    "ACLEnableKeyListPolicy": _plain("acl.enable_key_list_policy"),
    "ACLInitialManagementToken": _secret("acl.tokens.initial_management"),
    "ACLResolverSettings": {
        "ACLDefaultPolicy": _plain("acl.default_policy"),
        "ACLDownPolicy": _plain("acl.down_policy"),
        "ACLPolicyTTL": _duration("acl.policy_ttl"),
        "ACLRoleTTL": _duration("acl.role_ttl"),
        "ACLTokenTTL": _duration("acl.token_ttl"),
        "ACLsEnabled": _plain("acl.enabled"),
        "Datacenter": _plain("datacenter"),
        "EnterpriseMeta": {},
        "NodeName": _plain("node_name"),
    },
    "ACLTokenReplication": _plain("acl.enable_token_replication"),
    "ACLTokens": {
        "ACLAgentRecoveryToken": _secret("acl.tokens.agent_recovery"),
        "ACLAgentToken": _secret("acl.tokens.agent"),
        "ACLConfigFileRegistrationToken": _secret("acl.tokens.config_file_service_registration"),
        "ACLDNSToken": _secret("acl.tokens.dns"),
        "ACLDefaultToken": _secret("acl.tokens.default"),
        "ACLReplicationToken": _secret("acl.tokens.replication"),
        "DataDir": _plain("data_dir"),
        "EnablePersistence": _plain("acl.enable_token_persistence"),
        "EnterpriseConfig": {},
    },
    "ACLsEnabled": _plain("acl.enabled"),
    "AEInterval": "1m0s",
    "AdvertiseAddrLAN": _own("advertise_addr"),
    "AdvertiseAddrWAN": _own("advertise_addr_wan"),
    "AdvertiseReconnectTimeout": _duration("advertise_reconnect_timeout"),
    "AllowWriteHTTPFrom": _plain("http_config.allow_write_http_from"),
    "AutoConfig": {
        "Authorizer": {
            "AllowReuse": _plain(_STATIC + "allow_reuse"),
            "AuthMethod": {
                "ACLAuthMethodEnterpriseFields": {},
                "Config": {
                    "BoundAudiences": None,
                    "BoundIssuer": _plain(_STATIC + "bound_issuer"),
                    "ClaimMappings": None,
                    "ClockSkewLeeway": 0,
                    "ExpirationLeeway": 0,
                    "JWKSCACert": _plain(_STATIC + "jwks_ca_cert"),
                    "JWKSURL": _plain(_STATIC + "jwks_url"),
                    "JWTSupportedAlgs": None,
                    "JWTValidationPubKeys": None,
                    "ListClaimMappings": None,
                    "NotBeforeLeeway": 0,
                    "OIDCDiscoveryCACert": _plain(_STATIC + "oidc_discovery_ca_cert"),
                    "OIDCDiscoveryURL": _plain(_STATIC + "oidc_discovery_url"),
                },
                "Description": "",
                "DisplayName": "",
                "EnterpriseMeta": {},
                "MaxTokenTTL": "0s",
                "Name": "Auto Config Authorizer",
                "RaftIndex": {"CreateIndex": 0, "ModifyIndex": 0},
                "TokenLocality": "",
                "Type": "jwt",
            },
            "ClaimAssertions": _plain(_STATIC + "claim_assertions"),
            "Enabled": _plain("auto_config.authorization.enabled"),
        },
        "DNSSANs": _plain("auto_config.dns_sans"),
        "Enabled": _plain("auto_config.enabled"),
        "IPSANs": _plain("auto_config.ip_sans"),
        "IntroToken": _secret("auto_config.intro_token"),
        "IntroTokenFile": _plain("auto_config.intro_token_file"),
        "ServerAddresses": _plain("auto_config.server_addresses"),
    },
    "AutoEncryptAllowTLS": _plain("auto_encrypt.allow_tls"),
    "AutoEncryptDNSSAN": _plain("auto_encrypt.dns_san"),
    "AutoEncryptIPSAN": _plain("auto_encrypt.ip_san"),
    "AutoEncryptTLS": _plain("auto_encrypt.tls"),
    "AutoReloadConfig": _plain("auto_reload_config"),
    "AutoReloadConfigCoalesceInterval": "1s",
    "AutopilotCleanupDeadServers": _plain("autopilot.cleanup_dead_servers"),
    "AutopilotDisableUpgradeMigration": False,
    "AutopilotLastContactThreshold": _duration("autopilot.last_contact_threshold"),
    "AutopilotMaxTrailingLogs": _plain("autopilot.max_trailing_logs"),
    "AutopilotMinQuorum": _plain("autopilot.min_quorum"),
    "AutopilotRedundancyZoneTag": "",
    "AutopilotServerStabilizationTime": _duration("autopilot.server_stabilization_time"),
    "AutopilotUpgradeVersionTag": "",
    "BindAddr": _own("bind_addr"),
    "Bootstrap": _plain("bootstrap"),
    "BootstrapExpect": _plain("bootstrap_expect"),
    "BuildDate": "1970-01-01 00:00:01 +0000 UTC",
    "Cache": {
        "EntryFetchMaxBurst": _plain("cache.entry_fetch_max_burst"),
        "EntryFetchRate": _Option("cache.entry_fetch_rate", lambda rate: -1.0 if rate is None else rate),
        "Logger": None,
    },
    "CheckDeregisterIntervalMin": _duration("check_deregister_interval_min"),
    "CheckOutputMaxSize": _plain("check_output_max_size"),
    "CheckReapInterval": _duration("check_reap_interval"),
    "CheckUpdateInterval": _duration("check_update_interval"),
    "Checks": _plain("checks"),
    "ClientAddrs": _Option("network.client_addrs", list),
    "Cloud": {
        "AuthURL": "",
        "ClientID": "",
        "ClientSecret": "",
        "Hostname": "",
        "ManagementToken": "",
        "NodeID": "",
        "NodeName": _plain("node_name"),
        "ResourceID": "",
        "ScadaAddress": "",
        "TLSConfig": None,
    },
    "ConfigEntryBootstrap": _plain("config_entries.bootstrap"),
    "ConnectCAConfig": _Option("connect.ca_config", lambda given: dict.fromkeys(given, "hidden")),
    "ConnectCAProvider": _plain("connect.ca_provider"),
    "ConnectEnabled": _plain("connect.enabled"),
    "ConnectMeshGatewayWANFederationEnabled": _plain("connect.enable_mesh_gateway_wan_federation"),
    "ConnectSidecarMaxPort": _plain("ports.sidecar_max_port"),
    "ConnectSidecarMinPort": _plain("ports.sidecar_min_port"),
    "ConnectTestCALeafRootChangeSpread": "0s",
    "ConsulCoordinateUpdateBatchSize": 128,
    "ConsulCoordinateUpdateMaxBatches": 5,
    "ConsulCoordinateUpdatePeriod": "5s",
    "ConsulRaftElectionTimeout": _Option("performance.raft_multiplier", lambda by: format_duration(by * 1_000_000_000)),
    "ConsulRaftHeartbeatTimeout": _Option(
        "performance.raft_multiplier", lambda by: format_duration(by * 1_000_000_000)
    ),
    "ConsulRaftLeaderLeaseTimeout": _Option(
        "performance.raft_multiplier", lambda by: format_duration(by * 500_000_000)
    ),
    "ConsulServerHealthInterval": "2s",
    "DNSARecordLimit": _plain("dns_config.a_record_limit"),
    "DNSAddrs": _listening("dns", "tcp", "udp"),
    "DNSAllowStale": _plain("dns_config.allow_stale"),
    "DNSAltDomain": _plain("alt_domain"),
    "DNSCacheMaxAge": _duration("dns_config.cache_max_age"),
    "DNSDisableCompression": _plain("dns_config.disable_compression"),
    "DNSDomain": _plain("domain"),
    "DNSEnableTruncate": _plain("dns_config.enable_truncate"),
    "DNSMaxStale": _duration("dns_config.max_stale"),
    "DNSNodeMetaTXT": _plain("dns_config.enable_additional_node_meta_txt"),
    "DNSNodeTTL": _duration("dns_config.node_ttl"),
    "DNSOnlyPassing": _plain("dns_config.only_passing"),
    "DNSPort": _plain("ports.dns"),
    "DNSRecursorStrategy": _plain("dns_config.recursor_strategy"),
    "DNSRecursorTimeout": _duration("dns_config.recursor_timeout"),
    "DNSRecursors": _plain("recursors"),
    "DNSSOA": {
        "Expire": _plain("dns_config.soa.expire"),
        "Minttl": _plain("dns_config.soa.min_ttl"),
        "Refresh": _plain("dns_config.soa.refresh"),
        "Retry": _plain("dns_config.soa.retry"),
    },
    "DNSServiceTTL": _Option(
        "dns_config.service_ttl",
        lambda table: {name: format_duration(round(seconds * 1e9)) for name, seconds in table.items()},
    ),
    "DNSUDPAnswerLimit": _plain("dns_config.udp_answer_limit"),
    "DNSUseCache": _plain("dns_config.use_cache"),
    "DataDir": _plain("data_dir"),
    "Datacenter": _plain("datacenter"),
    "DefaultIntentionPolicy": _plain("default_intention_policy"),
    "DefaultQueryTime": _duration("default_query_time"),
    "DevMode": _plain("dev_mode"),
    "DisableAnonymousSignature": _plain("disable_anonymous_signature"),
    "DisableCoordinates": _plain("disable_coordinates"),
    "DisableHTTPUnprintableCharFilter": _plain("disable_http_unprintable_char_filter"),
    "DisableHostNodeID": _plain("disable_host_node_id"),
    "DisableKeyringFile": _plain("disable_keyring_file"),
    "DisableRemoteExec": _plain("disable_remote_exec"),
    "DisableUpdateCheck": _plain("disable_update_check"),
    "DiscardCheckOutput": _plain("discard_check_output"),
    "DiscoveryMaxStale": _duration("discovery_max_stale"),
    "EnableAgentTLSForChecks": _plain("enable_agent_tls_for_checks"),
    "EnableCentralServiceConfig": _plain("enable_central_service_config"),
    "EnableDebug": _plain("enable_debug"),
    "EnableLocalScriptChecks": _plain("enable_local_script_checks"),
    "EnableRemoteScriptChecks": _plain("enable_script_checks"),
    "EncryptKey": _secret("encrypt"),
    "EnterpriseRuntimeConfig": {},
    "Experiments": _plain("experiments"),
    "ExposeMaxPort": _plain("ports.expose_max_port"),
    "ExposeMinPort": _plain("ports.expose_min_port"),
    "GRPCAddrs": _listening("grpc"),
    "GRPCKeepaliveInterval": _duration("performance.grpc_keepalive_interval"),
    "GRPCKeepaliveTimeout": _duration("performance.grpc_keepalive_timeout"),
    "GRPCPort": _plain("ports.grpc"),
    "GRPCTLSAddrs": _listening("grpc_tls"),
    "GRPCTLSPort": _plain("ports.grpc_tls"),
    **_gossip("lan"),
    **_gossip("wan"),
    "HTTPAddrs": _listening("http"),
    "HTTPBlockEndpoints": _plain("http_config.block_endpoints"),
    "HTTPMaxConnsPerClient": _plain("limits.http_max_conns_per_client"),
    "HTTPMaxHeaderBytes": _plain("http_config.max_header_bytes"),
    "HTTPPort": _plain("ports.http"),
    "HTTPResponseHeaders": _plain("http_config.response_headers"),
    "HTTPSAddrs": _listening("https"),
    "HTTPSHandshakeTimeout": _duration("limits.https_handshake_timeout"),
    "HTTPSPort": _plain("ports.https"),
    "HTTPUseCache": _plain("http_config.use_cache"),
    "KVMaxValueSize": _plain("limits.kv_max_value_size"),
    "LeaveDrainTime": _duration("performance.leave_drain_time"),
    "LeaveOnTerm": _Option("leave_on_terminate", bool),
    "LocalProxyConfigResyncInterval": "30s",
    "Locality": _Option(
        "locality", lambda place: {"Region": place.region, "Zone": place.zone} if place.region else None
    ),
    "Logging": {
        "EnableSyslog": _plain("enable_syslog"),
        "LogFilePath": _plain("log_file"),
        "LogJSON": _plain("log_json"),
        "LogLevel": _plain("log_level"),
        "LogRotateBytes": _plain("log_rotate_bytes"),
        "LogRotateDuration": _duration("log_rotate_duration"),
        "LogRotateMaxFiles": _plain("log_rotate_max_files"),
        "Name": "",
        "SyslogFacility": _plain("syslog_facility"),
    },
    "MaxQueryTime": _duration("max_query_time"),
    "NodeID": _plain("node_id"),
    "NodeMeta": _plain("node_meta"),
    "NodeName": _plain("node_name"),
    "PeeringEnabled": _plain("peering.enabled"),
    "PeeringTestAllowPeerRegistrations": False,
    "PidFile": _plain("pid_file"),
    "PrimaryDatacenter": _plain("primary_datacenter"),
    "PrimaryGateways": _plain("primary_gateways"),
    "PrimaryGatewaysInterval": _duration("primary_gateways_interval"),
    "RPCAdvertiseAddr": _own("server"),
    "RPCBindAddr": _own("server"),
    "RPCClientTimeout": _duration("limits.rpc_client_timeout"),
    "RPCConfig": {"EnableStreaming": _plain("rpc.enable_streaming")},
    "RPCHandshakeTimeout": _duration("limits.rpc_handshake_timeout"),
    "RPCHoldTimeout": _duration("performance.rpc_hold_timeout"),
    "RPCMaxBurst": _plain("limits.rpc_max_burst"),
    "RPCMaxConnsPerClient": _plain("limits.rpc_max_conns_per_client"),
    "RPCProtocol": _plain("protocol"),
    "RPCRateLimit": _plain("limits.rpc_rate"),
    "RaftLogStoreConfig": {
        "Backend": _plain("raft_logstore.backend"),
        "BoltDB": {"NoFreelistSync": _plain("raft_logstore.boltdb.no_freelist_sync")},
        "DisableLogCache": _plain("raft_logstore.disable_log_cache"),
        "Verification": {
            "Enabled": _plain("raft_logstore.verification.enabled"),
            "Interval": _duration("raft_logstore.verification.interval"),
        },
        "WAL": {"SegmentSize": _Option("raft_logstore.wal.segment_size_mb", lambda size_mb: size_mb * 1024 * 1024)},
    },
    "RaftProtocol": _plain("raft_protocol"),
    "RaftSnapshotInterval": _duration("raft_snapshot_interval"),
    "RaftSnapshotThreshold": _plain("raft_snapshot_threshold"),
    "RaftTrailingLogs": _plain("raft_trailing_logs"),
    "ReadReplica": False,
    "ReconnectTimeoutLAN": _duration("reconnect_timeout"),
    "ReconnectTimeoutWAN": _duration("reconnect_timeout_wan"),
    "RejoinAfterLeave": _plain("rejoin_after_leave"),
    "Reporting": {"License": {"Enabled": False}},
    "RequestLimitsMode": _Option("limits.request_limits.mode", lambda mode: _MODES.get(mode, 0)),
    "RequestLimitsReadRate": _plain("limits.request_limits.read_rate"),
    "RequestLimitsWriteRate": _plain("limits.request_limits.write_rate"),
    "RetryJoinIntervalLAN": _duration("retry_interval"),
    "RetryJoinIntervalWAN": _duration("retry_interval_wan"),
    "RetryJoinLAN": _plain("retry_join"),
    "RetryJoinMaxAttemptsLAN": _plain("retry_max"),
    "RetryJoinMaxAttemptsWAN": _plain("retry_max_wan"),
    "RetryJoinWAN": _plain("retry_join_wan"),
    "Revision": "",
    "SegmentLimit": 64,
    "SegmentName": "",
    "SegmentNameLimit": 64,
    "Segments": [],
    "SerfAdvertiseAddrLAN": _own("serf_lan"),
    "SerfAdvertiseAddrWAN": _own("serf_wan"),
    "SerfAllowedCIDRsLAN": _plain("serf_lan_allowed_cidrs"),
    "SerfAllowedCIDRsWAN": _plain("serf_wan_allowed_cidrs"),
    "SerfBindAddrLAN": _own("serf_lan"),
    "SerfBindAddrWAN": _own("serf_wan"),
    "SerfPortLAN": _plain("ports.serf_lan"),
    "SerfPortWAN": _plain("ports.serf_wan"),
    "ServerMode": _plain("server"),
    "ServerName": _plain("server_name"),
    "ServerPort": _plain("ports.server"),
    "ServerRejoinAgeMax": _duration("server_rejoin_age_max"),
    "Services": _plain("services"),
    "SessionTTLMin": _duration("session_ttl_min"),
    "SkipLeaveOnInt": _Option("skip_leave_on_interrupt", bool),
    "StaticRuntimeConfig": {
        "EncryptVerifyIncoming": _plain("encrypt_verify_incoming"),
        "EncryptVerifyOutgoing": _plain("encrypt_verify_outgoing"),
    },
    "SyncCoordinateIntervalMin": "15s",
    "SyncCoordinateRateTarget": 64,
    "TLS": {
        "AutoTLS": False,
        "Domain": _plain("domain"),
        "EnableAgentTLSForChecks": _plain("enable_agent_tls_for_checks"),
        "GRPC": _tls("grpc"),
        "HTTPS": _tls("https"),
        "InternalRPC": _tls("internal_rpc"),
        "NodeName": _plain("node_name"),
        "ServerMode": _plain("server"),
        "ServerName": _plain("server_name"),
    },
    "TaggedAddresses": _Option("network.tagged_addresses", dict),
    "Telemetry": {
        "AllowedPrefixes": _allowed("+"),
        "BlockedPrefixes": _blocked(),
        **{
            f"Circonus{name}": _secret(f"telemetry.circonus_{key}")
            if name == "APIToken"
            else _plain(f"telemetry.circonus_{key}")
            for name, key in {
                "APIApp": "api_app",
                "APIToken": "api_token",
                "APIURL": "api_url",
                "BrokerID": "broker_id",
                "BrokerSelectTag": "broker_select_tag",
                "CheckDisplayName": "check_display_name",
                "CheckForceMetricActivation": "check_force_metric_activation",
                "CheckID": "check_id",
                "CheckInstanceID": "check_instance_id",
                "CheckSearchTag": "check_search_tag",
                "CheckTags": "check_tags",
                "SubmissionInterval": "submission_interval",
                "SubmissionURL": "submission_url",
            }.items()
        },
        "Disable": False,
        "DisableHostname": _plain("telemetry.disable_hostname"),
        "DisablePerTenancyUsageMetrics": _plain("telemetry.disable_per_tenancy_usage_metrics"),
        "DogstatsdAddr": _plain("telemetry.dogstatsd_addr"),
        "DogstatsdTags": _plain("telemetry.dogstatsd_tags"),
        "EnableHostMetrics": _plain("telemetry.enable_host_metrics"),
        "FilterDefault": _plain("telemetry.filter_default"),
        "MetricsPrefix": _plain("telemetry.metrics_prefix"),
        "PrometheusOpts": {
            "CounterDefinitions": [],
            "Expiration": _duration("telemetry.prometheus_retention_time"),
            "GaugeDefinitions": [],
            "Name": "",
            "Registerer": None,
            "SummaryDefinitions": [],
        },
        "RetryFailedConfiguration": _plain("telemetry.retry_failed_connection"),
        "StatsdAddr": _plain("telemetry.statsd_address"),
        "StatsiteAddr": _plain("telemetry.statsite_address"),
    },
    "TranslateWANAddrs": _plain("translate_wan_addrs"),
    "TxnMaxReqLen": _plain("limits.txn_max_req_len"),
    "UIConfig": {
        "ContentPath": _plain("ui_config.content_path"),
        "DashboardURLTemplates": _plain("ui_config.dashboard_url_templates"),
        "Dir": _plain("ui_config.dir"),
        "Enabled": _plain("ui_config.enabled"),
        "HCPEnabled": False,
        "MetricsProvider": _plain("ui_config.metrics_provider"),
        "MetricsProviderFiles": _plain("ui_config.metrics_provider_files"),
        "MetricsProviderOptionsJSON": _plain("ui_config.metrics_provider_options_json"),
        "MetricsProxy": {
            "AddHeaders": _Option(
                "ui_config.metrics_proxy.add_headers",
                lambda headers: [{"Name": header.name, "Value": "hidden"} for header in headers],
            ),
            "BaseURL": _plain("ui_config.metrics_proxy.base_url"),
            "PathAllowlist": _plain("ui_config.metrics_proxy.path_allowlist"),
        },
    },
    "UnixSocketGroup": _plain("unix_sockets.group"),
    "UnixSocketMode": _plain("unix_sockets.mode"),
    "UnixSocketUser": _plain("unix_sockets.user"),
    "UseStreamingBackend": _plain("use_streaming_backend"),
    "Version": CONSUL_VERSION,
    "VersionMetadata": "",
    "VersionPrerelease": "",
    "Watches": _plain("watches"),
    "XDSUpdateRateLimit": _plain("xds.update_max_per_second"),
}


def debug_config(config: Config) -> dict[str, Any]:
    """All of it, as JSON values."""
    shown: dict[str, Any] = _render(_TABLE, config)
    return shown


def _render(value: Any, config: Config) -> Any:
    if isinstance(value, dict):
        return {name: _render(inner, config) for name, inner in value.items()}
    if isinstance(value, _Option):
        return value.show(_look_up(config, value.key))
    return value


def _look_up(config: Any, key: str) -> Any:
    for part in key.split("."):
        config = getattr(config, part)
    return config

"""The nested objects of `DebugConfig`: ACLs, TLS, gossip, telemetry, the log store, the UI.

Source: surface row A1; tests/data/golden/http/agent-self-shape.json. What may change here: rows may be added; what
Consul has and we have not keeps Consul's default.
"""

from __future__ import annotations

from typing import Any

from meshagent.agent.debug_fields import Option, duration, plain, secret, words

__all__ = [
    "ACL_RESOLVER",
    "ACL_TOKENS",
    "AUTO_CONFIG",
    "LOGGING",
    "RAFT_LOG_STORE",
    "TELEMETRY",
    "TLS",
    "UI_CONFIG",
    "gossip",
]


def tls(kind: str) -> dict[str, Any]:
    key = f"tls.{kind}."
    return {
        "CAFile": plain(key + "ca_file"),
        "CAPath": plain(key + "ca_path"),
        "CertFile": plain(key + "cert_file"),
        "CipherSuites": words(key + "tls_cipher_suites"),
        "KeyFile": secret(key + "key_file"),
        "TLSMinVersion": plain(key + "tls_min_version"),
        "UseAutoCert": plain(key + "use_auto_cert") if kind == "grpc" else False,
        "VerifyIncoming": Option(key + "verify_incoming", bool),
        "VerifyOutgoing": Option(key + "verify_outgoing", bool),
        "VerifyServerHostname": plain(key + "verify_server_hostname") if kind == "internal_rpc" else False,
    }


def gossip(pool: str) -> dict[str, Any]:
    name = f"Gossip{pool.upper()}"
    key = f"gossip_{pool}."
    return {
        f"{name}GossipInterval": duration(key + "gossip_interval"),
        f"{name}GossipNodes": plain(key + "gossip_nodes"),
        f"{name}ProbeInterval": duration(key + "probe_interval"),
        f"{name}ProbeTimeout": duration(key + "probe_timeout"),
        f"{name}RetransmitMult": plain(key + "retransmit_mult"),
        f"{name}SuspicionMult": plain(key + "suspicion_mult"),
    }


def allowed(sign: str) -> Option:
    return Option("telemetry.prefix_filter", lambda rules: [rule[1:] for rule in rules if rule.startswith(sign)])


def blocked() -> Option:
    """What Consul drops unless told otherwise stands first."""
    shown = allowed("-").show
    return Option("telemetry.prefix_filter", lambda rules: ["consul.rpc.server.call", *shown(rules)])


_STATIC = "auto_config.authorization.static."

ACL_RESOLVER: dict[str, Any] = {
    "ACLDefaultPolicy": plain("acl.default_policy"),
    "ACLDownPolicy": plain("acl.down_policy"),
    "ACLPolicyTTL": duration("acl.policy_ttl"),
    "ACLRoleTTL": duration("acl.role_ttl"),
    "ACLTokenTTL": duration("acl.token_ttl"),
    "ACLsEnabled": plain("acl.enabled"),
    "Datacenter": plain("datacenter"),
    "EnterpriseMeta": {},
    "NodeName": plain("node_name"),
}

ACL_TOKENS: dict[str, Any] = {
    "ACLAgentRecoveryToken": secret("acl.tokens.agent_recovery"),
    "ACLAgentToken": secret("acl.tokens.agent"),
    "ACLConfigFileRegistrationToken": secret("acl.tokens.config_file_service_registration"),
    "ACLDNSToken": secret("acl.tokens.dns"),
    "ACLDefaultToken": secret("acl.tokens.default"),
    "ACLReplicationToken": secret("acl.tokens.replication"),
    "DataDir": plain("data_dir"),
    "EnablePersistence": plain("acl.enable_token_persistence"),
    "EnterpriseConfig": {},
}

AUTO_CONFIG: dict[str, Any] = {
    "Authorizer": {
        "AllowReuse": Option(_STATIC + "allow_reuse", bool),
        "AuthMethod": {
            "ACLAuthMethodEnterpriseFields": {},
            "Config": {
                "BoundAudiences": None,
                "BoundIssuer": plain(_STATIC + "bound_issuer"),
                "ClaimMappings": None,
                "ClockSkewLeeway": 0,
                "ExpirationLeeway": 0,
                "JWKSCACert": plain(_STATIC + "jwks_ca_cert"),
                "JWKSURL": plain(_STATIC + "jwks_url"),
                "JWTSupportedAlgs": None,
                "JWTValidationPubKeys": None,
                "ListClaimMappings": None,
                "NotBeforeLeeway": 0,
                "OIDCDiscoveryCACert": plain(_STATIC + "oidc_discovery_ca_cert"),
                "OIDCDiscoveryURL": plain(_STATIC + "oidc_discovery_url"),
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
        "ClaimAssertions": plain(_STATIC + "claim_assertions"),
        "Enabled": plain("auto_config.authorization.enabled"),
    },
    "DNSSANs": plain("auto_config.dns_sans"),
    "Enabled": plain("auto_config.enabled"),
    "IPSANs": plain("auto_config.ip_sans"),
    "IntroToken": secret("auto_config.intro_token"),
    "IntroTokenFile": plain("auto_config.intro_token_file"),
    "ServerAddresses": plain("auto_config.server_addresses"),
}

LOGGING: dict[str, Any] = {
    "EnableSyslog": plain("enable_syslog"),
    "LogFilePath": plain("log_file"),
    "LogJSON": plain("log_json"),
    "LogLevel": plain("log_level"),
    "LogRotateBytes": plain("log_rotate_bytes"),
    "LogRotateDuration": duration("log_rotate_duration"),
    "LogRotateMaxFiles": plain("log_rotate_max_files"),
    "Name": "",
    "SyslogFacility": plain("syslog_facility"),
}

RAFT_LOG_STORE: dict[str, Any] = {
    "Backend": plain("raft_logstore.backend"),
    "BoltDB": {"NoFreelistSync": plain("raft_logstore.boltdb.no_freelist_sync")},
    "DisableLogCache": plain("raft_logstore.disable_log_cache"),
    "Verification": {
        "Enabled": plain("raft_logstore.verification.enabled"),
        "Interval": duration("raft_logstore.verification.interval"),
    },
    "WAL": {"SegmentSize": Option("raft_logstore.wal.segment_size_mb", lambda size_mb: size_mb * 1024 * 1024)},
}

TLS: dict[str, Any] = {
    "AutoTLS": False,
    "Domain": plain("domain"),
    "EnableAgentTLSForChecks": plain("enable_agent_tls_for_checks"),
    "GRPC": tls("grpc"),
    "HTTPS": tls("https"),
    "InternalRPC": tls("internal_rpc"),
    "NodeName": plain("node_name"),
    "ServerMode": plain("server"),
    "ServerName": plain("server_name"),
}

TELEMETRY: dict[str, Any] = {
    "AllowedPrefixes": allowed("+"),
    "BlockedPrefixes": blocked(),
    **{
        f"Circonus{name}": secret(f"telemetry.circonus_{key}")
        if name == "APIToken"
        else plain(f"telemetry.circonus_{key}")
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
    "DisableHostname": plain("telemetry.disable_hostname"),
    "DisablePerTenancyUsageMetrics": plain("telemetry.disable_per_tenancy_usage_metrics"),
    "DogstatsdAddr": plain("telemetry.dogstatsd_addr"),
    "DogstatsdTags": plain("telemetry.dogstatsd_tags"),
    "EnableHostMetrics": plain("telemetry.enable_host_metrics"),
    "FilterDefault": plain("telemetry.filter_default"),
    "MetricsPrefix": plain("telemetry.metrics_prefix"),
    "PrometheusOpts": {
        "CounterDefinitions": [],
        "Expiration": duration("telemetry.prometheus_retention_time"),
        "GaugeDefinitions": [],
        "Name": "",
        "Registerer": None,
        "SummaryDefinitions": [],
    },
    "RetryFailedConfiguration": plain("telemetry.retry_failed_connection"),
    "StatsdAddr": plain("telemetry.statsd_address"),
    "StatsiteAddr": plain("telemetry.statsite_address"),
}

UI_CONFIG: dict[str, Any] = {
    "ContentPath": plain("ui_config.content_path"),
    "DashboardURLTemplates": plain("ui_config.dashboard_url_templates"),
    "Dir": plain("ui_config.dir"),
    "Enabled": plain("ui_config.enabled"),
    "HCPEnabled": False,
    "MetricsProvider": plain("ui_config.metrics_provider"),
    "MetricsProviderFiles": plain("ui_config.metrics_provider_files"),
    "MetricsProviderOptionsJSON": plain("ui_config.metrics_provider_options_json"),
    "MetricsProxy": {
        "AddHeaders": Option(
            "ui_config.metrics_proxy.add_headers",
            lambda headers: [{"Name": header.name, "Value": "hidden"} for header in headers],
        ),
        "BaseURL": plain("ui_config.metrics_proxy.base_url"),
        "PathAllowlist": plain("ui_config.metrics_proxy.path_allowlist"),
    },
}

"""Every key of surface rows G10 to G27, with the default it documents."""

from __future__ import annotations

from typing import Any

from meshagent.agent.config import Config
from meshagent.agent.config.merge import Draft
from meshagent.hcl import parse_hcl

DEFAULTS = """
# G10
datacenter = "dc1" primary_datacenter = "" node_name = "" node_id = "" disable_host_node_id = true node_meta {}
domain = "consul." alt_domain = "" server = false bootstrap = false bootstrap_expect = 0 data_dir = "" pid_file = ""
server_name = "" tagged_addresses {} server_rejoin_age_max = "168h"
# G11
bind_addr = "0.0.0.0" client_addr = "127.0.0.1" advertise_addr = "" advertise_addr_ipv4 = "" advertise_addr_ipv6 = ""
advertise_addr_wan = "" advertise_addr_wan_ipv4 = "" advertise_addr_wan_ipv6 = "" serf_lan = "" serf_wan = ""
serf_lan_allowed_cidrs = [] serf_wan_allowed_cidrs = [] translate_wan_addrs = false
unix_sockets { user = "" group = "" mode = "" }
# G12
ports { dns = 8600 http = 8500 https = -1 grpc = -1 serf_lan = 8301 serf_wan = 8302 server = 8300
  sidecar_min_port = 21000 sidecar_max_port = 21255 expose_min_port = 21500 expose_max_port = 21755 }
# G13
retry_join = [] retry_interval = "30s" retry_max = 0 retry_join_wan = [] retry_interval_wan = "30s" retry_max_wan = 0
rejoin_after_leave = false reconnect_timeout = "72h" reconnect_timeout_wan = "72h"
# G14
encrypt = "" encrypt_verify_incoming = true encrypt_verify_outgoing = true disable_keyring_file = false
gossip_lan { gossip_nodes = 3 gossip_interval = "200ms" probe_interval = "1s" probe_timeout = "500ms"
  retransmit_mult = 4 suspicion_mult = 4 }
gossip_wan { gossip_nodes = 4 gossip_interval = "500ms" probe_interval = "5s" probe_timeout = "3s"
  retransmit_mult = 4 suspicion_mult = 6 }
# G15, G16
tls { defaults { ca_file = "" ca_path = "" cert_file = "" key_file = "" tls_min_version = "TLSv1_2"
    tls_cipher_suites = "" verify_incoming = false verify_outgoing = false }
  internal_rpc { verify_server_hostname = false } https {} grpc { use_auto_cert = false } }
auto_encrypt { allow_tls = false tls = false dns_san = [] ip_san = [] }
auto_config { enabled = false intro_token = "" intro_token_file = "" server_addresses = [] dns_sans = [] ip_sans = []
  authorization { enabled = false static { claim_assertions = [] } } }
# G17
acl { enabled = false default_policy = "allow" down_policy = "extend-cache" policy_ttl = "30s" token_ttl = "30s"
  enable_key_list_policy = false enable_token_persistence = false enable_token_replication = false
  tokens { initial_management = "" default = "" agent = "" agent_recovery = "" replication = ""
    config_file_service_registration = "" dns = "" } }
default_intention_policy = ""
# G18
dns_config { allow_stale = true a_record_limit = 0 disable_compression = false enable_truncate = false
  enable_additional_node_meta_txt = true max_stale = "87600h" node_ttl = "0s" only_passing = false
  recursor_strategy = "sequential" recursor_timeout = "2s" service_ttl {} udp_answer_limit = 3 use_cache = false
  cache_max_age = "0s" soa { refresh = 3600 retry = 600 expire = 86400 min_ttl = 0 } }
recursors = []
# G19
http_config { block_endpoints = [] allow_write_http_from = [] response_headers {} use_cache = true
  max_header_bytes = 0 }
default_query_time = "300s" max_query_time = "600s" discovery_max_stale = "0s"
disable_http_unprintable_char_filter = false use_streaming_backend = true rpc { enable_streaming = true }
cache { entry_fetch_max_burst = 2 }
# G20
limits { http_max_conns_per_client = 200 https_handshake_timeout = "5s" rpc_handshake_timeout = "5s"
  rpc_client_timeout = "60s" rpc_max_conns_per_client = 100 rpc_rate = -1 rpc_max_burst = 1000
  kv_max_value_size = 524288 txn_max_req_len = 524288
  request_limits { mode = "disabled" read_rate = -1 write_rate = -1 } }
# G21
raft_protocol = 3 raft_snapshot_threshold = 16384 raft_snapshot_interval = "30s" raft_trailing_logs = 10240
raft_logstore { backend = "default" disable_log_cache = false verification { enabled = false interval = "60s" }
  boltdb { no_freelist_sync = false } wal { segment_size_mb = 64 } }
performance { raft_multiplier = 5 leave_drain_time = "5s" rpc_hold_timeout = "7s" grpc_keepalive_interval = "30s"
  grpc_keepalive_timeout = "20s" }
autopilot { cleanup_dead_servers = true last_contact_threshold = "200ms" max_trailing_logs = 250 min_quorum = 0
  server_stabilization_time = "10s" }
# G22
check_update_interval = "5m" check_output_max_size = 4096 discard_check_output = false enable_script_checks = false
enable_local_script_checks = false enable_agent_tls_for_checks = false
check_deregister_interval_min = "1m" check_reap_interval = "30s"
# G23
connect { enabled = true ca_provider = "consul" ca_config {} enable_mesh_gateway_wan_federation = false }
enable_central_service_config = true peering { enabled = true } xds { update_max_per_second = 250 }
config_entries { bootstrap = [] } primary_gateways = [] primary_gateways_interval = "30s"
locality { region = "" zone = "" }
# G24
services = [] checks = [] watches = []
# G25
ui_config { enabled = false dir = "" content_path = "/ui/" metrics_provider = "" metrics_provider_files = []
  metrics_provider_options_json = "" metrics_proxy { base_url = "" add_headers = [] path_allowlist = [] }
  dashboard_url_templates {} }
session_ttl_min = "10s" disable_remote_exec = true disable_coordinates = false disable_update_check = false
disable_anonymous_signature = false enable_debug = false protocol = 2 experiments = [] auto_reload_config = false
# G26
log_level = "INFO" log_json = false log_file = "" log_rotate_duration = "24h" log_rotate_bytes = 0
log_rotate_max_files = 0 enable_syslog = false syslog_facility = "LOCAL0"
# G27
telemetry { disable_hostname = false enable_host_metrics = false filter_default = true prefix_filter = []
  metrics_prefix = "consul" prometheus_retention_time = "0s" statsd_address = "" statsite_address = ""
  dogstatsd_addr = "" dogstatsd_tags = [] disable_per_tenancy_usage_metrics = false retry_failed_connection = true
  circonus_api_token = "" circonus_api_app = "" circonus_api_url = "" circonus_submission_url = ""
  circonus_submission_interval = "" circonus_check_id = "" circonus_check_force_metric_activation = ""
  circonus_check_instance_id = "" circonus_check_search_tag = "" circonus_check_display_name = ""
  circonus_check_tags = "" circonus_broker_id = "" circonus_broker_select_tag = "" }
"""

#: Options whose default is decided from others: the surface documents no fixed value for them. (For `allow_reuse` it
#: documents false, which Consul never looks at: here it counts when it is said.)
DECIDED_LATER = {
    "addresses.dns", "addresses.http", "addresses.https", "addresses.grpc", "addresses.grpc_tls", "ports.grpc_tls",
    "auto_config.authorization.static.allow_reuse",
    "acl.role_ttl", "cache.entry_fetch_rate", "leave_on_terminate", "skip_leave_on_interrupt",
}  # fmt: skip


def _built(text: str) -> tuple[Config, Draft]:
    draft = Draft()
    draft.add(parse_hcl(text, "defaults.hcl").root)
    return draft.build(), draft


def test_the_documented_defaults_are_ours() -> None:
    config, draft = _built(DEFAULTS)
    assert draft.problems == []
    assert draft.warnings == []

    def value(of: Any, key: str) -> Any:
        for name in key.split("."):
            of = getattr(of, name)
        return of

    different = {key for key in draft.values if value(config, key) != value(Config(), key)}
    assert different == set()


def test_no_option_without_a_documented_default_but_those_decided_later() -> None:
    _, draft = _built(DEFAULTS)
    undefined = {key for key, option in Config.every_option() if option.default is None}
    tls = {key for key in undefined if key.startswith("tls.") and not key.startswith("tls.defaults.")}
    assert undefined - tls == DECIDED_LATER
    assert len(draft.values) > 200


def test_every_option_is_explained() -> None:
    for key, option in Config.every_option():
        assert option.help.endswith("."), key
        assert not (option.inert and option.reload), key

"""The whole configuration: identity, joining, logs and all groups (surface rows G10 to G26).

Source: developer.hashicorp.com/consul/docs/agent/config/config-files. One row an option, in the order of the reference.
`Config` is what the rest of the agent is given; values that depend on others or on the host are filled in by
resolve.py, which also adds `network` and `dev_mode`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshagent.agent.config.mesh import XDS, ConfigEntries, Connect, LocalityConfig, Peering, Telemetry
from meshagent.agent.config.network import Addresses, GossipLan, GossipWan, Ports, UnixSockets
from meshagent.agent.config.option import Group, duration, free, group, rows, switch, table, text, whole, words
from meshagent.agent.config.resolved import Network
from meshagent.agent.config.security import ACL, TLS, AutoConfig, AutoEncrypt
from meshagent.agent.config.server import Autopilot, History, Limits, Performance, RaftLogStore
from meshagent.agent.config.serving import RPC, Cache, DNSConfig, HTTPConfig, UIConfig
from meshagent.agent.config.watches import Watch
from meshagent.agent.definitions.check import CheckDefinition, ServiceCheck
from meshagent.agent.definitions.service import ServiceDefinition

__all__ = ["Config"]


class Config(Group):
    """Everything an agent is told."""

    # identity
    node_name: str = text(
        "", "Name of this host in the cluster, unique.", flags=("-node",), default_text="the host's name"
    )
    node_id: str = text(
        "",
        "Unique id of this host, a UUID; kept in `data_dir`.",
        flags=("-node-id",),
        default_text="made at first start",
    )
    node_meta: Mapping[str, str] = table("Metadata of this host, up to 64 pairs.", flags=("-node-meta",), reload=True)
    datacenter: str = text("dc1", "Datacenter this host is in.", flags=("-datacenter", "-dc"))
    primary_datacenter: str = text(
        "",
        "Datacenter that owns ACLs, intentions and the CA of a federation.",
        former=("acl_datacenter",),
        default_text="datacenter",
    )
    domain: str = text("consul.", "Domain this agent answers over DNS.", flags=("-domain",))
    alt_domain: str = text("", "A second such domain, e.g. while moving.", flags=("-alt-domain",))
    server: bool = switch(False, "Hold the catalog. Three or five servers a datacenter.", flags=("-server",))
    bootstrap: bool = switch(False, "Elect itself; only ever for one server.", flags=("-bootstrap",))
    bootstrap_expect: int = whole(
        0, "How many servers to wait for before the first election.", flags=("-bootstrap-expect",)
    )
    data_dir: str = text("", "Directory of what must survive a restart.", flags=("-data-dir",))
    pid_file: str = text("", "File that gets the process id.", flags=("-pid-file",))
    server_name: str = text("", "Name in certificates of this server.", default_text="node_name")
    tagged_addresses: Mapping[str, str] = table("Further addresses of this host by name.")
    server_rejoin_age_max: float = duration(
        168 * 3600.0, "A server that was away for longer refuses to start with its old data.", low=6 * 3600.0
    )
    locality: LocalityConfig = group(LocalityConfig, "Where this host is.")
    disable_host_node_id: bool = switch(
        True, "Make a random node id; off, it is a hash of the machine's own.", flags=("-disable-host-node-id",)
    )
    protocol: int = whole(
        2, "Version of the agents' protocol: both are the same here.", flags=("-protocol",), low=2, high=3, inert=True
    )

    # addresses
    bind_addr: str = text("0.0.0.0", "Address of gossip and RPC; takes address templates.", flags=("-bind",))
    client_addr: str = text(
        "127.0.0.1", "Addresses of HTTP, DNS and gRPC, separated by spaces; takes templates.", flags=("-client",)
    )
    advertise_addr: str = text(
        "", "Address that others are told.", flags=("-advertise",), default_text="bind_addr, or a private address"
    )
    advertise_addr_ipv4: str = text("", "The same for IPv4.")
    advertise_addr_ipv6: str = text("", "The same for IPv6.")
    advertise_addr_wan: str = text(
        "", "Address that other datacenters are told.", flags=("-advertise-wan",), default_text="advertise_addr"
    )
    advertise_addr_wan_ipv4: str = text("", "The same for IPv4.")
    advertise_addr_wan_ipv6: str = text("", "The same for IPv6.")
    serf_lan: str = text("", "Address of LAN gossip.", flags=("-serf-lan-bind",), default_text="bind_addr")
    serf_wan: str = text("", "Address of WAN gossip.", flags=("-serf-wan-bind",), default_text="bind_addr")
    serf_lan_allowed_cidrs: tuple[str, ...] = words(
        "Networks whose hosts may join; empty is all.", flags=("-serf-lan-allowed-cidrs",)
    )
    serf_wan_allowed_cidrs: tuple[str, ...] = words("The same for WAN gossip.", flags=("-serf-wan-allowed-cidrs",))
    translate_wan_addrs: bool = switch(False, "Give WAN addresses to who asks about another datacenter.")
    addresses: Addresses = group(Addresses, "Addresses by protocol.")
    ports: Ports = group(Ports, "Ports.")
    unix_sockets: UnixSockets = group(UnixSockets, "Unix sockets.")

    # joining
    retry_join: tuple[str, ...] = words(
        "Agents to join, until it works: host[:port], templates, or `provider=...`.",
        flags=("-retry-join", "-join"),
        former=("start_join",),
    )
    retry_interval: float = duration(30.0, "Time between attempts.", flags=("-retry-interval",), low=0)
    retry_max: int = whole(
        0, "Attempts before giving up with exit code 1; 0 is for ever.", flags=("-retry-max",), low=0
    )
    retry_join_wan: tuple[str, ...] = words(
        "Servers of other datacenters to join.", flags=("-retry-join-wan", "-join-wan"), former=("start_join_wan",)
    )
    retry_interval_wan: float = duration(30.0, "Time between attempts.", flags=("-retry-interval-wan",), low=0)
    retry_max_wan: int = whole(0, "Attempts before giving up; 0 is for ever.", flags=("-retry-max-wan",), low=0)
    rejoin_after_leave: bool = switch(False, "Join again although it left.", flags=("-rejoin",))
    reconnect_timeout: float = duration(72 * 3600.0, "A failed host is forgotten after this.", low=8 * 3600.0)
    reconnect_timeout_wan: float = duration(72 * 3600.0, "The same for servers elsewhere.", low=8 * 3600.0)
    advertise_reconnect_timeout: float = duration(
        0.0, "Clients: ask to be forgotten after this when failed, for hosts that come and go. 0 asks nothing.", low=0
    )

    # gossip
    encrypt: str = text(
        "",
        "Key of gossip, base64 of 16, 24 or 32 bytes (`keygen`); kept in the keyring after the first start.",
        flags=("-encrypt",),
        secret=True,
    )
    encrypt_verify_incoming: bool = switch(True, "Drop gossip that is not encrypted; off only while moving.")
    encrypt_verify_outgoing: bool = switch(True, "Send encrypted gossip; off only while moving.")
    disable_keyring_file: bool = switch(False, "Do not keep keys on disk.", flags=("-disable-keyring-file",))
    gossip_lan: GossipLan = group(GossipLan, "LAN gossip.")
    gossip_wan: GossipWan = group(GossipWan, "WAN gossip.")

    # security
    tls: TLS = group(TLS, "TLS.")
    auto_encrypt: AutoEncrypt = group(AutoEncrypt, "Certificates for clients.")
    auto_config: AutoConfig = group(AutoConfig, "Configuration for clients.")
    acl: ACL = group(ACL, "Access control.")
    default_intention_policy: str = text(
        "", "What no intention speaks of.", choices=("", "allow", "deny"), default_text="acl.default_policy"
    )

    # serving
    dns_config: DNSConfig = group(DNSConfig, "DNS.")
    recursors: tuple[str, ...] = words("DNS servers for names outside our domains.", flags=("-recursor",), reload=True)
    http_config: HTTPConfig = group(HTTPConfig, "HTTP.")
    default_query_time: float = duration(
        300.0, "How long a blocking query without `wait` may take.", flags=("-default-query-time",), low=0
    )
    max_query_time: float = duration(600.0, "How long any blocking query may take.", flags=("-max-query-time",), low=0)
    discovery_max_stale: float = duration(
        0.0, "Answer catalog and health reads from any server, at most this old; 0 asks the leader.", low=0, reload=True
    )
    disable_http_unprintable_char_filter: bool = switch(False, "Take paths with control characters.")
    use_streaming_backend: bool = switch(True, "Answer health reads from a live view.")
    rpc: RPC = group(RPC, "RPC.")
    cache: Cache = group(Cache, "Cache.")
    ui_config: UIConfig = group(UIConfig, "UI.")
    limits: Limits = group(Limits, "Limits.")

    # servers
    performance: Performance = group(Performance, "Performance.")
    autopilot: Autopilot = group(Autopilot, "Autopilot.")
    raft_protocol: int = whole(
        3, "Version of the Raft protocol; there is one.", flags=("-raft-protocol",), low=3, high=3, inert=True
    )
    raft_snapshot_threshold: int = whole(
        16_384,
        "Entries after which a snapshot is made: fewer is a shorter start, more is less disk.",
        low=1,
        reload=True,
    )
    raft_snapshot_interval: float = duration(30.0, "How often that is looked at.", low=0, reload=True)
    raft_trailing_logs: int = whole(
        10_240, "Entries kept behind a snapshot, so that a slow follower needs no snapshot.", low=0, reload=True
    )
    raft_prevote_disabled: bool = switch(False, "Elections always ask first here.", inert=True)
    raft_logstore: RaftLogStore = group(RaftLogStore, "Store of Raft's log.")
    session_ttl_min: float = duration(10.0, "Shortest TTL of a session.", low=0)
    peering: Peering = group(Peering, "Peering.")
    config_entries: ConfigEntries = group(ConfigEntries, "Config entries.")
    history: History = group(History, "Versions of keys and config entries.")

    # mesh
    connect: Connect = group(Connect, "Mesh.")
    enable_central_service_config: bool = switch(True, "Merge proxy-defaults and service-defaults into registrations.")
    xds: XDS = group(XDS, "xDS.")
    primary_gateways: tuple[str, ...] = words("Mesh gateways of the primary datacenter.", flags=("-primary-gateway",))
    primary_gateways_interval: float = duration(30.0, "Time between looking them up.", low=0)

    # registrations and checks
    services: tuple[ServiceDefinition, ...] = rows(
        ServiceDefinition, "Services of this host.", also=("service",), reload=True
    )
    checks: tuple[CheckDefinition, ...] = rows(ServiceCheck, "Checks of this host.", also=("check",), reload=True)
    watches: tuple[Watch, ...] = rows(Watch, "Commands and calls on change.", reload=True)
    check_update_interval: float = duration(
        300.0, "Changes of output alone are sent this late, to spare the servers.", low=0
    )
    check_output_max_size: int = whole(
        4096, "Longest output kept.", low=1, unit="bytes", flags=("-check_output_max_size",)
    )
    discard_check_output: bool = switch(False, "Keep no output, e.g. when it changes all the time.", reload=True)
    check_reap_interval: float = duration(30.0, "How often `deregister_critical_service_after` is looked at.", low=0.1)
    check_deregister_interval_min: float = duration(60.0, "Smallest `deregister_critical_service_after`.", low=0)
    enable_script_checks: bool = switch(
        False,
        "Run commands of checks, also of those registered over the API: whoever may register may then run anything.",
        flags=("-enable-script-checks",),
    )
    enable_local_script_checks: bool = switch(
        False, "Run commands of checks in files only.", flags=("-enable-local-script-checks",)
    )
    enable_agent_tls_for_checks: bool = switch(False, "HTTP and gRPC checks show the agent's certificate.")

    # life
    leave_on_terminate: bool = switch(
        None, "Leave the cluster on SIGTERM.", default_text="true on clients, false on servers"
    )
    skip_leave_on_interrupt: bool = switch(
        None, "Do not leave the cluster on SIGINT.", default_text="false on clients, true on servers"
    )
    auto_reload_config: bool = switch(False, "Reload when a file changes.", flags=("-auto-reload-config",))
    disable_remote_exec: bool = switch(True, "Refuse `exec` from other hosts.")
    disable_coordinates: bool = switch(False, "Do not estimate round trips.")
    disable_update_check: bool = switch(False, "There is no update check here.", inert=True)
    disable_anonymous_signature: bool = switch(False, "There is no update check here.", inert=True)
    enable_debug: bool = switch(False, "Serve profiles under /debug/pprof.", reload=True)
    version: str = text("", "Upstream's tests name the version to pose as.", inert=True)
    version_prerelease: str = text("", "As `version`.", inert=True)
    version_metadata: str = text("", "As `version`.", inert=True)
    revision: str = text("", "As `version`.", inert=True)
    build_date: str = text("", "As `version`.", inert=True)
    experiments: tuple[str, ...] = words("Upstream's previews.", inert=True)
    cloud: Mapping[str, Any] = free("Upstream's hosted service.", inert=True, secret=True)

    # logs and metrics
    log_level: str = text(
        "INFO",
        "Least severe message shown.",
        choices=("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "ERR"),
        flags=("-log-level",),
        reload=True,
    )
    log_json: bool = switch(False, "One JSON object a line.", flags=("-log-json",))
    log_file: str = text("", "Also write to this file; a name ending in / is a directory.", flags=("-log-file",))
    log_rotate_duration: float = duration(
        86_400.0, "Start a new file after this.", flags=("-log-rotate-duration",), low=0
    )
    log_rotate_bytes: int = whole(
        0, "Start a new file after this much; 0 is never.", unit="bytes", flags=("-log-rotate-bytes",), low=0
    )
    log_rotate_max_files: int = whole(
        0, "Old files kept; 0 keeps all, -1 none.", flags=("-log-rotate-max-files",), low=-1
    )
    enable_syslog: bool = switch(False, "Also log to syslog.", flags=("-syslog",))
    syslog_facility: str = text("LOCAL0", "Facility there.")
    telemetry: Telemetry = group(Telemetry, "Metrics.")

    # filled in by resolve.py
    network: Network
    dev_mode: bool

    def __init__(self, *, network: Network | None = None, dev_mode: bool = False, **values: object):
        super().__init__(**values)
        object.__setattr__(self, "network", network or Network())
        object.__setattr__(self, "dev_mode", dev_mode)

    @property
    def effective_intention_policy(self) -> str:
        """What holds where no intention speaks: `default_intention_policy`, else the default of ACLs."""
        return self.default_intention_policy or self.acl.default_policy

"""Options of servers and of limits: Raft, autopilot, performance, limits (surface rows G20 and G21).

Source: developer.hashicorp.com/consul/docs/agent/config/config-files. One row an option. Where our Raft works
otherwise than upstream's, an option is `inert` and its help says so.
"""

from __future__ import annotations

from meshagent.agent.config.option import Group, duration, group, number, switch, text, whole

__all__ = ["Autopilot", "History", "Limits", "Performance", "RaftLogStore"]


class Performance(Group):
    """Time and patience of the cluster."""

    raft_multiplier: int = whole(
        5,
        "Scales Raft's timers: 1 finds a lost leader soonest but needs fast disks and networks, 10 is most patient.",
        low=1,
        high=10,
    )
    leave_drain_time: float = duration(5.0, "How long a leaving server still answers, so that clients move on.", low=0)
    rpc_hold_timeout: float = duration(7.0, "How long a request waits for a leader before `No cluster leader`.", low=0)
    grpc_keepalive_interval: float = duration(30.0, "Silence on a gRPC connection before it is pinged.", low=0)
    grpc_keepalive_timeout: float = duration(
        20.0, "How long that ping may take before the connection is dropped.", low=0
    )
    enable_xds_load_balancing: bool = switch(True, "Spread xDS streams over the servers.")


class Autopilot(Group):
    """How the leader cares for the servers. Read when a cluster is new; later `operator autopilot set-config` rules."""

    cleanup_dead_servers: bool = switch(True, "Remove a failed server when a healthy one takes its place.")
    last_contact_threshold: float = duration(0.2, "A server silent for longer counts as unhealthy.", low=0)
    max_trailing_logs: int = whole(250, "A server this many entries behind counts as unhealthy.", low=0)
    min_quorum: int = whole(0, "Never remove servers below this number.", low=0)
    server_stabilization_time: float = duration(10.0, "How long a new server must be healthy before it votes.", low=0)


class History(Group):
    """What keys and config entries were before, and who changed them; the same on every server. Off by default."""

    versions: int = whole(
        0,
        "Versions kept of every key and config entry; 0 keeps none and forgets those that were kept. A write costs more"
        " with it, as its author must be found.",
        low=0,
        high=1000,
    )
    max_bytes: int = whole(
        67_108_864,
        "Most memory for versions of keys, and as much again for those of config entries; the oldest go first.",
        low=65_536,
        high=17_179_869_184,
        unit="bytes",
    )


class Verification(Group):
    """Checks of the log by checksums sent along."""

    enabled: bool = switch(False, "Always on here: every segment carries checksums.", inert=True)
    interval: float = duration(60.0, "Time between checks.", inert=True)


class BoltDB(Group):
    """The BoltDB backend of upstream."""

    no_freelist_sync: bool = switch(False, "There is no BoltDB here.", inert=True)


class WAL(Group):
    """The write-ahead log of upstream."""

    segment_size_mb: int = whole(64, "Segments are sized by the journal here.", low=1, unit="MiB", inert=True)


class RaftLogStore(Group):
    """Where Raft's log lives upstream; here it is always the checksummed journal under `data_dir`."""

    backend: str = text("default", "Accepted, the journal is used.", choices=("default", "boltdb", "wal"), inert=True)
    disable_log_cache: bool = switch(False, "There is no such cache here.", inert=True)
    verification: Verification = group(Verification, "Verification of the log.")
    boltdb: BoltDB = group(BoltDB, "BoltDB.")
    wal: WAL = group(WAL, "Write-ahead log.")


class RequestLimits(Group):
    """Rates of requests that one server takes over RPC and HTTP, reads and writes apart."""

    mode: str = text(
        "disabled",
        "`permissive` only counts and logs what would be refused; `enforcing` refuses with 429 (503 for the leader's).",
        choices=("disabled", "permissive", "enforcing"),
        reload=True,
    )
    read_rate: float = number(-1.0, "Reads a second; -1 is no limit.", low=-1, unit="1/s", reload=True)
    write_rate: float = number(-1.0, "Writes a second; -1 is no limit.", low=-1, unit="1/s", reload=True)


class Limits(Group):
    """What one client may use up before it is refused."""

    http_max_conns_per_client: int = whole(
        200, "HTTP connections from one IP address; behind a NAT or proxy raise it. 0 is no limit.", low=0, reload=True
    )
    https_handshake_timeout: float = duration(5.0, "How long a TLS handshake with the HTTPS API may take.", low=0)
    rpc_handshake_timeout: float = duration(5.0, "How long a handshake with a server may take.", low=0)
    rpc_client_timeout: float = duration(
        60.0, "How long a client waits for a server that does not block.", low=0, reload=True
    )
    rpc_max_conns_per_client: int = whole(
        100, "RPC connections from one IP address. 0 is no limit.", low=0, reload=True
    )
    rpc_rate: float = number(
        -1.0, "Requests a second this agent sends to servers; -1 is no limit.", unit="1/s", reload=True
    )
    rpc_max_burst: int = whole(1000, "How far a burst may exceed `rpc_rate`.", low=0, reload=True)
    kv_max_value_size: int = whole(
        524_288, "Largest value of a key. Larger ones slow Raft for all.", low=0, unit="bytes"
    )
    txn_max_req_len: int = whole(
        524_288, "Largest body of a transaction; at least `kv_max_value_size`.", low=0, unit="bytes"
    )
    request_limits: RequestLimits = group(RequestLimits, "Rate limits of servers.")

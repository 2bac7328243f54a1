"""The metrics that dashboards look for, declared once: kind, name, help.

Source: surface row G42; the names a running Consul 1.20.1 exposes before anything happened (golden
`metrics-shape.json`); developer.hashicorp.com/consul/docs/agent/monitor/telemetry. A declared metric is in the
Prometheus text from the start (zero, or NaN for quantiles), so that alerts on it can be written.

What may change here: rows may be added; a shown name is never renamed. A row is `name  help`, help optional.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DECLARED", "Declared"]


@dataclass(frozen=True, slots=True)
class Declared:
    """`kind` is Prometheus' word: gauge, counter or summary."""

    kind: str
    name: str
    help: str


_GAUGES = """
autopilot.failure_tolerance  How many voting servers may be lost while the cluster keeps working
autopilot.healthy  1 while all servers are healthy
agent.tls.cert.expiry  Seconds until the agent's TLS certificate expires
cache.entries_count
consul.cache.entries_count
consul.peering.exported_services
consul.peering.healthy
grpc.client.connections
grpc.server.connections
grpc.server.streams
leader.replication.acl-policies.index
leader.replication.acl-policies.status
leader.replication.acl-roles.index
leader.replication.acl-roles.status
leader.replication.acl-tokens.index
leader.replication.acl-tokens.status
leader.replication.config-entries.index
leader.replication.config-entries.status
leader.replication.federation-state.index
leader.replication.federation-state.status
leader.replication.namespaces.index
leader.replication.namespaces.status
leaf-certs.entries_count  Leaf certificates that this agent holds
leaf-certs.next_expiry  Seconds until the first of them expires
memberlist.health.score  How unwell this agent takes itself to be: 0 is well, at most 7
members.clients  Client agents that are alive
members.servers  Servers that are alive
mesh.active-root-ca.expiry  Seconds until the active root certificate expires
mesh.active-signing-ca.expiry  Seconds until the active signing certificate expires
peering.exported_services
peering.healthy
raft.applied_index  Index of the last log entry applied to the store
raft.fsm.lastRestoreDuration  Milliseconds that the last restore of a snapshot took
raft.last_index  Index of the last log entry
raft.leader.oldestLogAge  On the leader: milliseconds of the log's time since its oldest entry was written
raft.peers  Voting servers
raft.thread.fsm.saturation
raft.thread.main.saturation
raft.wal.last_segment_age_seconds  Seconds that the segment of the log closed last was open
rpc.queries_blocking  Blocking queries that wait now
runtime.alloc_bytes  Memory in use
runtime.free_count
runtime.heap_objects  Objects the collector knows
runtime.malloc_count
runtime.num_goroutines  Tasks of the event loop
runtime.sys_bytes  Memory the process holds
runtime.total_gc_pause_ns
runtime.total_gc_runs  Collections since the start
server.isLeader  1 on the leader
session_ttl.active  Sessions with a time to live
state.billable_service_instances  Instances of services but consul
state.config_entries  Config entries, by kind
state.connect_instances  Instances in the mesh, by kind
state.kv_entries  Keys of the store
state.nodes  Nodes of the catalog
state.peerings
state.service_instances  Instances of the catalog
state.services  Services of the catalog
version  The release of the agent
xds.server.idealStreamsMax
xds.server.streams
xds.server.streamsUnauthenticated
"""

_COUNTERS = """
acl.blocked.check.deregistration
acl.blocked.check.registration
acl.blocked.node.registration
acl.blocked.service.deregistration
acl.blocked.service.registration
acl.token.cache_hit
acl.token.cache_miss
cache.bypass
cache.connect-ca-root.fetch_success
cache.connect-ca-root.hit
cache.connect-ca-root.miss_block
cache.connect-ca-root.miss_new
cache.evict_expired
cache.fetch_error
cache.fetch_success
catalog.connect.not-found
catalog.connect.query
catalog.connect.query-tag
catalog.connect.query-tags
catalog.service.not-found  Queries for a service that is not registered
catalog.service.query  Queries for a service
catalog.service.query-tag  Queries for a service and a tag
catalog.service.query-tags
client.api.catalog_datacenters
client.api.catalog_deregister
client.api.catalog_gateway_services
client.api.catalog_node_service_list
client.api.catalog_node_services
client.api.catalog_nodes
client.api.catalog_register
client.api.catalog_service_nodes
client.api.catalog_services
client.api.error.catalog_service_nodes
client.api.success.catalog_datacenters
client.api.success.catalog_deregister
client.api.success.catalog_gateway_services
client.api.success.catalog_node_service_list
client.api.success.catalog_node_services
client.api.success.catalog_nodes
client.api.success.catalog_register
client.api.success.catalog_service_nodes
client.api.success.catalog_services
client.rpc  Requests of this agent to a server
client.rpc.error.catalog_datacenters
client.rpc.error.catalog_deregister
client.rpc.error.catalog_gateway_services
client.rpc.error.catalog_node_service_list
client.rpc.error.catalog_node_services
client.rpc.error.catalog_nodes
client.rpc.error.catalog_register
client.rpc.error.catalog_service_nodes
client.rpc.error.catalog_services
client.rpc.exceeded  Requests held back by `limits.rpc_rate`
client.rpc.failed  Requests to a server that failed
consul.cache.bypass
consul.cache.connect-ca-root.fetch_success
consul.cache.connect-ca-root.hit
consul.cache.connect-ca-root.miss_block
consul.cache.connect-ca-root.miss_new
consul.cache.evict_expired
consul.cache.fetch_error
consul.cache.fetch_success
dns.query
grpc.client.connection.count
grpc.client.request.count
grpc.server.connection.count
grpc.server.request.count
grpc.server.stream.count
health.service.query
memberlist.degraded.probe  Probes that got more time because this agent is unwell
memberlist.degraded.timeout  Nodes marked as failed without enough confirmations
memberlist.dropped  Gossip that was refused, by reason
memberlist.msg.alive
memberlist.msg.dead
memberlist.msg.suspect
memberlist.tcp.accept
memberlist.tcp.connect
memberlist.tcp.sent  Bytes
memberlist.udp.received  Bytes
memberlist.udp.sent  Bytes
raft.apply  Entries proposed
raft.barrier  Times somebody waited until all that was committed before is applied here
raft.state.candidate  Elections begun
raft.state.follower
raft.snapshot.failed  Snapshots that could not be written
raft.state.leader  Elections won
raft.storage.failed  Times the disk refused the log
raft.transition.heartbeat_timeout  Times no leader was heard for an election timeout
raft.verify_leader  Rounds in which a leader asked whether it still leads
raft.wal.head_truncations  Times the oldest part of the log was removed
raft.wal.log_appends  Groups of entries written
raft.wal.log_entries_read
raft.wal.log_entries_written  Entries written
raft.wal.log_entry_bytes_read
raft.wal.log_entry_bytes_written  Bytes of entries written
raft.wal.segment_rotations  Segments begun
raft.wal.stable_gets
raft.wal.stable_sets
raft.wal.tail_truncations  Times the end of the log was replaced
rpc.accept_conn
rpc.cross-dc  Requests forwarded to another datacenter
rpc.query  Queries served
rpc.raft_handoff
rpc.rate_limit.exceeded
rpc.rate_limit.log_dropped
rpc.request  Requests served
rpc.request_error  Requests that failed
serf.dropped  Messages of serf that were refused, by reason
serf.events  User events taken
serf.events.consul:new-leader
serf.events.refused  User events that could not be read
serf.member.join
serf.member.left
serf.member.failed
serf.member.flap  Members that failed and were back within a minute
serf.member.update
serf.queries  Queries taken
serf.query_acks
serf.query_duplicate_acks
serf.query_duplicate_responses
serf.query_responses
serf.queue.dropped  Broadcasts dropped because too many waited
xds.server.streamDrained
"""

_SUMMARIES = """
acl.ResolveToken
acl.authmethod.delete
acl.authmethod.upsert
acl.bindingrule.delete
acl.bindingrule.upsert
acl.login
acl.logout
acl.policy.delete
acl.policy.upsert
acl.role.delete
acl.role.upsert
acl.token.clone
acl.token.delete
acl.token.upsert
api.http  Milliseconds that HTTP requests took, by method and path
catalog.deregister  Milliseconds that a deregistration took
catalog.register  Milliseconds that a registration took
config_entry.apply
consul.fsm.ca
consul.fsm.intention
consul.intention.apply
dns.domain_query  Milliseconds that questions of our domain took
dns.ptr_query  Milliseconds that reverse questions took
federation_state.apply
federation_state.get
federation_state.list
federation_state.list_mesh_gateways
fsm.acl
fsm.acl.authmethod
fsm.acl.bindingrule
fsm.acl.policy
fsm.acl.token
fsm.autopilot  Milliseconds that the state machine takes for a change of autopilot's configuration
fsm.ca
fsm.ca.leaf
fsm.config_entry  Milliseconds that the state machine takes for a config entry, by operation
fsm.config_entry.service-defaults
fsm.coordinate.batch-update  Milliseconds that the state machine takes for coordinates
fsm.deregister  Milliseconds that the state machine takes for a deregistration
fsm.federation_state.dc1
fsm.intention
fsm.kvs  Milliseconds that the state machine takes for a write of a key, by operation
fsm.peering
fsm.persist  Milliseconds that writing the state took, for a snapshot
fsm.prepared-query  Milliseconds that the state machine takes for a prepared query, by operation
fsm.register  Milliseconds that the state machine takes for a registration
fsm.session  Milliseconds that the state machine takes for a session, by operation
fsm.system_metadata
fsm.tombstone  Milliseconds that the state machine takes for forgetting what was deleted
fsm.txn  Milliseconds that the state machine takes for a transaction
intention.apply
kvs.apply  Milliseconds that a write of a key took
leader.barrier  Milliseconds until a leader knows that it is one
leader.reapTombstones  Milliseconds that having deleted keys and nodes forgotten took
leader.reconcile  Milliseconds that comparing members with the catalog took
leader.reconcileMember
memberlist.gossip
memberlist.probeNode  Milliseconds that a probe took
memberlist.pushPullNode  Milliseconds that a full exchange took
memberlist.queue.broadcasts  Broadcasts that wait
memberlist.size.local  Bytes of user state sent in a full exchange
memberlist.size.remote  Bytes of user state received in a full exchange
prepared-query.apply  Milliseconds that a write of a prepared query took
prepared-query.execute  Milliseconds that running a prepared query took
prepared-query.execute_remote
prepared-query.explain  Milliseconds that filling a template for an explanation took
raft.commitNumLogs  Commands in one entry
raft.commitTime  Milliseconds from proposal to commit
raft.fsm.apply
raft.fsm.enqueue  Milliseconds that committed entries waited to be applied
raft.fsm.restore  Milliseconds that replacing the state took
raft.leader.dispatchLog  Milliseconds until a leader's entries were on its own disk
raft.leader.dispatchNumLogs  Commands that went to the disk together
raft.leader.lastContact  Milliseconds since a follower last answered the leader
raft.rpc.installSnapshot  Milliseconds that taking a leader's state took
raft.snapshot.persist  Milliseconds that writing a snapshot took
raft.snapshot.takeSnapshot  Milliseconds that a snapshot took as a whole
rpc.consistentRead  Milliseconds until the consistent reads that wait together could be answered
runtime.gc_pause_ns
serf.coordinate.adjustment-ms
serf.msgs.received  Bytes
serf.msgs.sent  Bytes
serf.queue.Event  User events that wait to be gossiped
serf.queue.Intent
serf.queue.Query
serf.snapshot.appendLine  Milliseconds that appending to a snapshot of members took
serf.snapshot.compact
session.apply
session.renew
session_ttl.invalidate
txn.apply
txn.read
xds.server.streamStart
"""


def _rows(kind: str, text: str) -> list[Declared]:
    rows = []
    for line in text.strip().splitlines():
        name, _, words = line.partition("  ")
        rows.append(Declared(kind, name, words))
    return rows


#: Every declared metric, without prefix.
DECLARED: tuple[Declared, ...] = (
    *_rows("gauge", _GAUGES),
    *_rows("counter", _COUNTERS),
    *_rows("summary", _SUMMARIES),
)
if len({row.name for row in DECLARED}) != len(DECLARED):
    raise ImportError("a metric is declared twice")

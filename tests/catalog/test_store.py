"""The state machine as a whole: determinism, snapshots, indexes that never go back (design.md, "Raft")."""

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given, settings

from meshagent.catalog import commands as c
from meshagent.catalog import queries
from meshagent.catalog.autopilot.configuration import AutopilotConfig
from meshagent.catalog.ca import CAConfig, CAKey, CARoot
from meshagent.catalog.entries.table import parse
from meshagent.catalog.model import (
    Check,
    Connect,
    Coordinate,
    CoordinateRow,
    Node,
    PreparedQuery,
    Proxy,
    QueryService,
    QueryTemplate,
    Service,
    ServiceCheck,
    ServiceEntry,
    Session,
)
from meshagent.catalog.peering import commands as p
from meshagent.catalog.peering.model import Peering, TrustBundle
from meshagent.catalog.store import Store
from meshagent.catalog.txn import CHECK_VERBS, KV_VERBS, NODE_VERBS, SERVICE_VERBS, Outcome
from meshagent.errors import CorruptData, MeshError

names = st.sampled_from(["a", "A", "b", "c"])
ids = st.sampled_from(["", "40e4a748-2192-161a-0510-9bf59fe950b5", "50e4a748-2192-161a-0510-9bf59fe950b5"])
nodes = st.builds(Node, name=names, id=ids, address=st.sampled_from(["10.0.0.1", "10.0.0.2", "::1", "host"]))
services = st.builds(
    Service,
    name=st.sampled_from(["web", "Web", "db"]),
    id=st.sampled_from(["x", "y"]),
    port=st.integers(0, 3),
    kind=st.sampled_from(["", "connect-proxy"]),
    address=st.sampled_from(["", "10.0.0.2"]),
    connect=st.builds(Connect, native=st.booleans()),
    proxy=st.builds(Proxy, destination_service_name=st.sampled_from(["web", "db"])),
)
checks = st.builds(
    Check,
    check_id=st.sampled_from(["c1", "serfHealth"]),
    status=st.sampled_from(["passing", "critical"]),
    service_id=st.sampled_from(["", "x", "y"]),
)
keys = st.sampled_from(["k", "k/1", "k/2", "l"])
values = st.sampled_from([b"", b"1", b"2"])
prepared = st.builds(
    PreparedQuery,
    id=st.sampled_from(["q-1", "q-2", "q-3"]),
    name=st.sampled_from(["", "geo", "Geo", "geo-"]),
    session=st.sampled_from(["", "s"]),
    template=st.builds(QueryTemplate, type=st.sampled_from(["", "name_prefix_match", "zork"])),
    service=st.builds(QueryService, service=st.sampled_from(["web", "${name.suffix}", "${zork}"])),
)
sessions = st.builds(
    Session,
    id=st.sampled_from(["s", "t"]),
    node=names,
    behavior=st.sampled_from(["release", "delete"]),
    lock_delay=st.sampled_from([0, 15_000_000_000]),
    ttl=st.sampled_from(["", "10s"]),
    node_checks=st.sampled_from([(), ("serfHealth",)]),
    service_checks=st.sampled_from([None, (ServiceCheck(id="c1"),)]),
)
indexes = st.integers(0, 20)
ops = st.one_of(
    st.builds(
        c.TxnKV, st.sampled_from([*KV_VERBS, "bogus"]), keys, values, st.integers(0, 1), indexes,
        st.sampled_from(["", "s", "t"]),
    ),
    st.builds(
        c.TxnNode, st.sampled_from([*NODE_VERBS]), st.builds(Node, name=names, id=ids, modify_index=indexes)
    ),
    st.builds(c.TxnService, st.sampled_from([*SERVICE_VERBS]), names, services),
    st.builds(
        c.TxnCheck, st.sampled_from([*CHECK_VERBS]),
        st.builds(
            lambda row, node, at: msgspec.structs.replace(row, node=node, modify_index=at), checks, names, indexes
        ),
    ),
)  # fmt: skip
transactions = st.builds(c.Txn, st.lists(ops, max_size=5).map(tuple))
config_entries = st.sampled_from(
    [
        parse(raw)
        for name, other in (("web", "db"), ("db", "web"))
        for raw in (
            {"Kind": "service-defaults", "Name": name, "Protocol": "http"},
            {"Kind": "service-defaults", "Name": name},
            {"Kind": "service-resolver", "Name": name, "Redirect": {"Service": other}},
            {"Kind": "service-splitter", "Name": name, "Splits": [{"Weight": 100, "Service": other}]},
            {"Kind": "api-gateway", "Name": name, "Listeners": [{"Name": "l", "Port": 1, "Protocol": "http"}]},
            {
                "Kind": "http-route",
                "Name": name,
                "Parents": [{"Name": "web"}],
                "Rules": [{"Services": [{"Name": "x"}]}],
            },
            {"Kind": "ingress-gateway", "Name": name, "Listeners": [{"Port": 1, "Services": [{"Name": other}]}]},
            {"Kind": "terminating-gateway", "Name": name, "Services": [{"Name": other}]},
        )
    ]
)
ca_roots = st.builds(
    CARoot,
    st.sampled_from(["r1", "r2"]),
    *(st.just(text) for text in ("n", 7, "ski", "td", "2024-01-01T00:00:00Z", "2034-01-01T00:00:00Z", "pem")),
)
plain_commands = st.one_of(
    st.builds(
        c.CASet,
        st.builds(CAConfig, st.just("consul"), st.sampled_from([{}, {"LeafCertTTL": "24h"}])),
        st.integers(0, 20),
        st.just("2024-01-01T00:00:00Z"),
        st.sampled_from(["", "cluster"]),
        st.none() | ca_roots,
        st.none() | st.builds(CAKey, st.sampled_from(["r1", "r2"]), values),
    ),
    st.builds(c.CASerials, st.integers(0, 3)),
    st.builds(c.CADrop, st.sampled_from([(), ("r1",), ("r1", "r2", "r3")])),
    st.builds(c.Register, nodes, st.none() | services, st.lists(checks, max_size=2).map(tuple), st.booleans()),
    st.builds(c.Deregister, names, st.sampled_from(["", "x"]), st.sampled_from(["", "c1"])),
    st.builds(c.KVSet, keys, values, st.integers(0, 1)),
    st.builds(c.KVCas, keys, values, st.just(0), st.integers(0, 20)),
    st.builds(c.KVDelete, keys),
    st.builds(c.KVDeleteCas, keys, st.integers(0, 20)),
    st.builds(c.KVDeleteTree, st.sampled_from(["", "k/"])),
    st.builds(c.KVLock, keys, values, st.just(0), st.sampled_from(["s", "t"])),
    st.builds(c.KVUnlock, keys, values, st.just(0), st.sampled_from(["s", "t"])),
    st.builds(c.SessionCreate, sessions),
    st.builds(c.SessionDestroy, st.sampled_from(["s", "t"])),
    transactions,
    st.builds(
        c.CoordinateBatch, st.lists(st.builds(CoordinateRow, node=names, coord=st.just(Coordinate()))).map(tuple)
    ),
    st.builds(c.ReapTombstones, st.integers(0, 20)),
    st.builds(c.PreparedQuerySet, prepared),
    st.builds(c.PreparedQueryDelete, st.sampled_from(["q-1", "q-2"])),
    st.builds(c.ConfigEntrySet, config_entries, st.none() | st.integers(0, 20), st.just("2024-01-01T00:00:00Z")),
    st.builds(
        c.ConfigEntryDelete,
        st.sampled_from(["service-defaults", "service-resolver", "service-splitter", "api-gateway", "http-route"]),
        st.sampled_from(["web", "db"]),
        st.none() | st.integers(0, 20),
        st.just("2024-01-02T00:00:00Z"),
    ),
    st.builds(c.ClusterInit, st.sampled_from(["c-1", "c-2"])),
    st.builds(c.IntroductionTake, st.sampled_from([b"a", b"b"]), names, st.integers(0, 9), st.integers(0, 9)),
    st.builds(c.FederationStateSet, st.sampled_from(["dc1", "dc2"]), st.just("2024-01-01T00:00:00Z")),
    st.builds(c.ManualIPsSet, names, st.lists(st.sampled_from(["10.0.0.1", "10.0.0.2"]), unique=True).map(tuple)),
    st.builds(
        c.AutopilotSet,
        st.builds(AutopilotConfig, min_quorum=st.integers(0, 5), cleanup_dead_servers=st.booleans()),
        st.none() | st.integers(0, 20),
    ),
)
peerings = st.sampled_from(["p-1", "p-2"])
imports = st.builds(
    lambda node, row, check: ServiceEntry(node, row, (check,) if check.service_id in {"", row.id} else ()),
    nodes, services, checks,
)  # fmt: skip
plain_commands |= st.one_of(
    st.builds(
        p.PeeringSet,
        st.builds(Peering, id=peerings, name=st.sampled_from(["east", "west"]), dials=st.booleans()),
        st.sampled_from(["", "d1"]),
    ),
    st.builds(p.PeeringExchange, peerings, st.sampled_from(["d1", "d2"]), st.just("d3")),
    st.builds(p.PeeringActivate, peerings, st.sampled_from(["", "d3"]), st.just(""), st.sampled_from(["", "dc2"])),
    st.builds(p.PeeringTell, peerings, st.sampled_from([(), ("h:1",)])),
    st.builds(p.PeeringDelete, st.sampled_from(["east", "west"]), st.just("2024-01-01T00:00:00Z")),
    st.builds(p.PeeringTerminate, peerings),
    st.builds(p.PeeringPurge, peerings, st.integers(0, 3)),
    st.builds(p.TrustBundleSet, st.builds(TrustBundle, peer=st.sampled_from(["east", "west"]), roots=st.just(("r",)))),
    st.builds(
        p.ImportedReplace,
        st.sampled_from(["east", "west"]),
        st.sampled_from(["web", "db"]),
        st.lists(imports, max_size=2).map(tuple),
    ),
    st.builds(p.ImportedKeep, st.sampled_from(["east", "west"]), st.sampled_from([(), ("web",)]), st.integers(0, 3)),
)
authored = st.builds(
    c.Authored,
    plain_commands.filter(lambda command: isinstance(command, c.Recorded)),
    st.just("2024-01-01T00:00:00Z"),
    st.sampled_from(["", "accessor"]),
    st.just("name"),
    st.just("n1"),
    st.sampled_from([1, 3]),
    st.sampled_from([1000, 100_000]),
)
commands = st.one_of(plain_commands, authored, st.just(c.HistoryDrop()))
logs = st.lists(commands, max_size=40)


def run(store: Store, log: list[c.Command]) -> list[object]:
    results: list[object] = []
    for command in log:
        try:
            results.append(store.apply(c.encode(command)))
        except MeshError as error:
            results.append(str(error))
    return results


@given(logs)
def test_the_same_log_gives_the_same_state_and_results(log):
    one, two = Store(), Store()
    assert run(one, log) == run(two, log)
    assert one.digest() == two.digest()


@given(logs, st.integers(0, 40))
@settings(max_examples=200)
def test_a_snapshot_in_the_middle_changes_nothing(log, at):
    whole = Store()
    run(whole, log)
    half, rest = Store(), Store()
    run(half, log[:at])
    rest.restore(half.snapshot())
    assert rest.digest() == half.digest()
    results = run(rest, log[at:])
    assert rest.digest() == whole.digest()
    assert results == run(half, log[at:])


@given(logs)
def test_a_snapshot_is_the_state_at_the_call_whatever_comes_after(log):
    store = Store()
    run(store, log)
    before = store.digest()
    chunks = store.snapshot()
    store.execute(c.KVSet("after", b"1"))
    store.execute(c.KVDeleteTree("k"))
    fresh = Store()
    fresh.restore(chunks)
    assert fresh.digest() == before


READS = [
    lambda store: queries.nodes(store),
    lambda store: queries.services(store),
    lambda store: queries.service_nodes(store, "web"),
    lambda store: queries.service_nodes(store, "web", connect=True),
    lambda store: queries.health_service(store, "web"),
    lambda store: queries.health_service(store, "db", passing=True),
    lambda store: queries.health_node(store, "a"),
    lambda store: queries.health_checks(store, "web"),
    lambda store: queries.health_state(store, "critical"),
    lambda store: queries.node_services(store, "a"),
    lambda store: queries.kv_get(store, "k"),
    lambda store: queries.kv_list(store, "k/"),
    lambda store: queries.coordinate_nodes(store),
    lambda store: queries.coordinate_node(store, "a"),
    lambda store: queries.by_address(store, "10.0.0.2"),
    lambda store: queries.prepared_query_list(store),
    lambda store: queries.prepared_query(store, "q-1"),
    lambda store: queries.session(store, "s"),
    lambda store: queries.session_list(store),
    lambda store: queries.session_node(store, "a"),
    lambda store: queries.config_entry(store, "service-defaults", "web"),
    lambda store: queries.config_entries(store, "http-route"),
    lambda store: queries.config_entries(store),
]


@given(logs)
@settings(max_examples=300)
def test_rows_never_change_without_a_wake_up_and_a_higher_index(log):
    """C11, C13: a reader that waits on (index, topics) misses no change."""
    store = Store()
    for command in log:
        before = [read(store) for read in READS]
        woken: set[int] = set()
        subscriptions = [
            store.watches.subscribe(result.topics, lambda at=at, woken=woken: woken.add(at))
            for at, result in enumerate(before)
        ]
        run(store, [command])
        store.flush()
        for at, (read, old) in enumerate(zip(READS, before, strict=True)):
            new = read(store)
            if new.rows != old.rows:
                assert at in woken, (at, command)
                assert new.index > old.index, (at, command)
            if not isinstance(command, c.ReapTombstones):
                assert new.index >= old.index, (at, command)
        for subscription in subscriptions:
            subscription.cancel()


PEOPLED = [
    c.Register(
        Node(name="a"),
        Service(id="x", name="web", kind="connect-proxy", proxy=Proxy(destination_service_name="web")),
        (Check(check_id="serfHealth", status="passing"),),
    ),
    c.Register(Node(name="b"), Service(id="x", name="db", connect=Connect(native=True))),
    c.SessionCreate(Session(id="s", node="a", node_checks=("serfHealth",), lock_delay=1, ttl="10s")),
    c.SessionCreate(Session(id="t", node="b", behavior="delete")),
    c.KVLock("k/1", b"1", 0, "s"),
    c.KVLock("k/2", b"1", 0, "t"),
    c.CoordinateBatch((CoordinateRow(node="a"),)),
    c.PreparedQuerySet(PreparedQuery(id="q-0", name="bound", session="s", service=QueryService(service="web"))),
]


def derived(store: Store) -> object:
    """What a store has worked out from its rows, beside the memos of reads."""
    virtual_ips = store.registrations.virtual_ips
    tables = (store.registrations, store.kv, store.sessions, store.coordinates, store.prepared_queries, virtual_ips)
    memos = {"_watches", "_undo", "_entries", "_bare", "_sorted", "virtual_ips", "entry_copies", "tombstone_copies"}
    memos |= {"_kv", "_check_down", "_node_gone", "_ended", "_named_elsewhere"}  # ways to other tables
    return [{name: value for name, value in vars(table).items() if name not in memos} for table in tables]


@given(st.lists(commands, max_size=5), transactions)
@settings(max_examples=400)
def test_a_refused_transaction_leaves_no_trace_and_wakes_nobody(log, transaction):
    """TX1: all or nothing, also in every derived index; reads give the same."""
    store, twin = Store(), Store()
    run(store, [*PEOPLED, *log])
    run(twin, [*PEOPLED, *log])
    store.flush()
    woken: list[int] = []
    for read in READS:
        store.watches.subscribe(read(store).topics, lambda: woken.append(1))
    [outcome] = run(store, [transaction])
    store.flush()
    assert isinstance(outcome, Outcome)
    if outcome.failures:
        twin.index += 1
        assert store.digest() == twin.digest()
        assert derived(store) == derived(twin)
        assert [read(store) for read in READS] == [read(twin) for read in READS]
        assert not woken
        assert outcome.results == ()
    assert not store.undo.active


@given(logs)
def test_every_holder_of_a_lock_is_a_session_that_lives(log):
    """E5, E6, PQ1: whatever ends a session, its locks and its prepared queries go with it."""
    store = Store()
    run(store, [*PEOPLED, *log])
    rows = store.sessions.rows
    for entry in store.kv.entries.values():
        assert not entry.session or entry.session in rows
    for query in store.prepared_queries.rows.values():
        assert not query.session or query.session in rows
    for session in rows.values():
        node = session.node.lower()
        assert node in store.registrations.nodes
        for check_id in session.check_ids:
            assert store.registrations.checks[node, check_id].status != "critical"


@given(st.binary(max_size=200))
def test_any_bytes_are_a_command_or_corrupt(data):
    try:
        command = c.decode(data)
    except CorruptData:
        return
    assert c.decode(c.encode(command)) == command


@given(commands)
def test_commands_survive_their_codec(command):
    assert c.decode(c.encode(command)) == command


@given(logs, st.data())
@settings(max_examples=60)
def test_a_damaged_snapshot_is_refused_and_the_old_state_stays(log, data):
    source = Store()
    run(source, [c.KVSet("k", b"1"), *log])
    chunks = list(source.snapshot())
    which = data.draw(st.integers(0, len(chunks) - 1))
    how = data.draw(st.sampled_from(["flip", "drop", "cut"]))
    if how == "flip":
        at = data.draw(st.integers(0, len(chunks[which]) - 1))
        damaged = bytearray(chunks[which])
        damaged[at] ^= 1 << data.draw(st.integers(0, 7))
        chunks[which] = bytes(damaged)
    elif how == "drop":
        del chunks[which]
    else:
        chunks[which] = chunks[which][:-1]
    target = Store()
    run(target, [c.KVSet("old", b"1")])
    before = target.digest()
    with pytest.raises(CorruptData):
        target.restore(chunks)
    assert target.digest() == before


def test_restore_wakes_every_reader():
    store, source = Store(), Store()
    source.execute(c.KVSet("k", b"1"))
    woken: list[int] = []
    store.watches.subscribe(queries.kv_get(store, "k").topics, lambda: woken.append(1))
    store.restore(source.snapshot())
    assert woken == [1]
    assert queries.kv_get(store, "k").rows.value == b"1"


def test_writes_after_a_restore_wake_readers():
    store = Store()
    store.restore(Store().snapshot())
    woken: list[int] = []
    store.watches.subscribe(queries.kv_get(store, "k").topics, lambda: woken.append(1))
    store.execute(c.KVSet("k", b"1"))
    store.flush()
    assert woken == [1]


def test_an_empty_table_of_config_entries_began_with_the_cluster() -> None:
    """As Consul's, which is above 1 from the first leader on; a second id changes nothing."""
    store = Store()
    store.execute(c.KVSet("k", b"v"))
    store.execute(c.ClusterInit("one"))
    store.execute(c.ClusterInit("two"))
    assert (store.cluster_id, store.config.index, store.index) == ("one", 3, 4)

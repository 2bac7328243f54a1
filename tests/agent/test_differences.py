"""Surface rows E1-E3, K5: whatever happened, the commands that come of comparing make the catalog equal the agent."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from meshagent.agent.definitions import CheckDefinition, ConnectDefinition, ServiceCheck, ServiceDefinition
from meshagent.agent.differences import compare, node_rows, outstanding, settle
from meshagent.agent.local import LocalState
from meshagent.catalog import commands
from meshagent.catalog.model import Check, Node, Service
from meshagent.catalog.store import Store
from meshagent.clock import VirtualClock
from meshagent.errors import InternalError, NotFound

NODE = Node(
    id="11111111-2222-3333-4444-555555555555",
    name="n1",
    address="127.0.0.1",
    datacenter="dc1",
    tagged_addresses={"lan": "127.0.0.1"},
    meta={"consul-network-segment": ""},
)


def make_local(clock=None, node=NODE):
    local = LocalState(node_name="n1", datacenter="dc1", clock=clock or VirtualClock(), rng=random.Random(1))
    local.set_node(node)
    return local


def leader_registers(store):
    """What the leader keeps of a server (surface rows O7, K22)."""
    store.execute(
        commands.Register(
            Node(id=NODE.id, name="n1", address="127.0.0.1", datacenter="dc1"),
            Service(id="consul", name="consul", port=8300),
            (Check(node="n1", check_id="serfHealth", name="Serf Health Status", status="passing"),),
        )
    )


def send(store, local):
    """Write everything that is outstanding; the commands."""
    sent = outstanding(local)
    for one in sent:
        store.execute(one.command)
        settle(local, one)
    return [one.command for one in sent]


def full_sync(store, local):
    compare(local, node_rows(store, "n1"))
    return send(store, local)


def ttl(**given):
    return ServiceCheck(ttl=60.0, **given)


# --- the diff --------------------------------------------------------------------------------------------------------


def test_the_first_sync_writes_the_node_then_each_service_with_its_checks():
    store, local = Store(), make_local()
    leader_registers(store)
    local.add_service(ServiceDefinition(name="web", checks=(ttl(), ttl())))
    local.add_check(CheckDefinition(name="disk", ttl=1.0))
    written = full_sync(store, local)
    assert written[0] == commands.Register(NODE)
    assert (written[1].service.id, [check.check_id for check in written[1].checks]) == (
        "web",
        ["service:web:1", "service:web:2"],
    )
    assert [check.check_id for check in written[2].checks] == ["disk"]
    assert len(written) == 3
    assert local.synced
    assert full_sync(store, local) == []


def test_a_check_with_a_token_of_its_own_goes_alone():
    store, local = Store(), make_local()
    local.add_service(ServiceDefinition(name="web", check=ttl(token="other")), token="t")
    tokens = [one.token for one in outstanding(local)]
    assert tokens == ["", "t", "other"]
    send(store, local)
    assert local.synced


def test_what_the_leader_keeps_is_left_alone_and_what_nobody_here_knows_goes():
    store, local = Store(), make_local()
    leader_registers(store)
    full_sync(store, local)
    stranger = (Check(check_id="sc", service_id="stranger"), Check(check_id="loose"))
    store.execute(commands.Register(NODE, Service(id="stranger", name="x"), stranger))
    written = full_sync(store, local)
    assert written == [
        commands.Deregister("n1", service_id="stranger"),
        commands.Deregister("n1", check_id="loose"),
    ]
    rows = node_rows(store, "n1")
    assert [row.id for row in rows.services] == ["consul"]
    assert [row.check_id for row in rows.checks] == ["serfHealth"]


def test_e3_tags_flow_back_only_where_the_registration_lets_them():
    store, local = Store(), make_local()
    local.add_service(ServiceDefinition(name="free", tags=("a",), enable_tag_override=True))
    local.add_service(ServiceDefinition(name="fixed", tags=("a",)))
    full_sync(store, local)
    for name, override in [("free", True), ("fixed", False)]:
        store.execute(
            commands.Register(NODE, Service(id=name, name=name, tags=("b",), enable_tag_override=override, meta={}))
        )
    full_sync(store, local)
    assert local.services["free"].service.tags == ("b",)
    assert {row.id: row.tags for row in node_rows(store, "n1").services} == {"free": ("b",), "fixed": ("a",)}


def test_a_virtual_address_flows_back_and_is_no_difference():
    store, local = Store(), make_local()
    sidecar = ConnectDefinition(sidecar_service=ServiceDefinition())
    local.add_service(ServiceDefinition(name="web", port=80, connect=sidecar))
    full_sync(store, local)
    assert full_sync(store, local) == []
    assert local.services["web-sidecar-proxy"].service.tagged_addresses["consul-virtual"].address == "240.0.0.1"


def test_changed_node_info_is_written():
    store, local = Store(), make_local()
    full_sync(store, local)
    local.set_node(Node(id=NODE.id, name="n1", address="127.0.0.2", datacenter="dc1", meta={"a": "b"}))
    assert len(send(store, local)) == 1
    assert node_rows(store, "n1").node.address == "127.0.0.2"


def test_an_output_that_waits_is_no_difference_yet():
    store, local = Store(), make_local()
    local.add_check(CheckDefinition(name="c", ttl=1.0))
    full_sync(store, local)
    local.update_check("c", "critical", "chatty")
    assert full_sync(store, local) == []
    local.release_deferred(1e9)
    assert len(full_sync(store, local)) == 1


def test_a_service_that_comes_back_before_it_was_forgotten_leaves_no_check_behind():
    store, local = Store(), make_local()
    local.add_service(ServiceDefinition(name="web", check=ttl()))
    full_sync(store, local)
    local.remove_service("web")
    local.add_service(ServiceDefinition(name="web"))
    send(store, local)
    assert node_rows(store, "n1").checks == ()


def test_what_changes_under_way_stays_marked():
    local = make_local()
    local.add_service(ServiceDefinition(name="web"))
    local.add_check(CheckDefinition(name="c", ttl=1.0))
    under_way = outstanding(local)
    local.add_service(ServiceDefinition(name="web", port=2))
    local.update_check("c", "passing", "")
    for one in under_way:
        settle(local, one)
    assert not local.services["web"].in_sync
    assert not local.checks["c"].in_sync
    assert local.node_in_sync


ids = st.sampled_from(["a", "b", "c", "consul"])
text = st.sampled_from(["", "x", "y"])
step = st.one_of(
    st.tuples(st.just("add"), ids, text, st.booleans()),
    st.tuples(st.just("remove"), ids, text, st.booleans()),
    st.tuples(st.just("check"), ids, text, st.booleans()),
    st.tuples(st.just("uncheck"), ids, text, st.booleans()),
    st.tuples(st.just("update"), ids, text, st.booleans()),
    st.tuples(st.just("send"), ids, text, st.booleans()),
    st.tuples(st.just("catalog service"), ids, text, st.booleans()),
    st.tuples(st.just("catalog check"), ids, text, st.booleans()),
    st.tuples(st.just("catalog forgets"), ids, text, st.booleans()),
    st.tuples(st.just("catalog node"), ids, text, st.booleans()),
)


def perform(store, local, what, name, word, flag):
    if what == "add" and name != "consul":
        check = ttl(check_id=f"c{name}", notes=word) if flag else None
        connect = ConnectDefinition(sidecar_service=ServiceDefinition()) if word == "y" else None
        local.add_service(
            ServiceDefinition(
                name=name, tags=(word,), enable_tag_override=flag, check=check, port=len(word) + 1, connect=connect
            )
        )
    elif what == "remove":
        local.remove_service(name)
    elif what == "check":
        local.add_check(CheckDefinition(name=f"k{name}", ttl=1.0, notes=word, service_id=name if flag else ""))
    elif what == "uncheck":
        local.remove_check(f"k{name}")
    elif what == "update":
        local.update_check(f"k{name}", "passing" if flag else "critical", word)
    elif what == "send":
        send(store, local)
    elif what == "catalog service" and name != "consul":
        row = Service(id=name, name=word or name, tags=(word,), enable_tag_override=flag)
        store.execute(commands.Register(NODE, row, skip_node_update=True))
    elif what == "catalog check":
        owner = name if flag and name != "consul" else ""
        row = Check(check_id=f"k{name}", name=word, service_id=owner, output=word)
        store.execute(commands.Register(NODE, None, (row,), skip_node_update=True))
    elif what == "catalog forgets":
        store.execute(commands.Deregister("n1", service_id=name if flag else "", check_id="" if flag else f"c{name}"))
        leader_registers(store)
    elif what == "catalog node":
        store.execute(commands.Register(Node(id=NODE.id, name="n1", address=word or "1.1.1.1", meta={"m": word})))


@settings(max_examples=200, deadline=None)
@given(st.lists(step, max_size=40))
def test_e1_whatever_happened_one_full_sync_converges(steps):
    store, local = Store(), make_local()
    leader_registers(store)
    for one in steps:
        try:
            perform(store, local, *one)
        except (NotFound, InternalError):
            pass
    full_sync(store, local)
    assert local.synced
    local.release_deferred(1e9)
    send(store, local)
    rows = node_rows(store, "n1")
    assert {row.id for row in rows.services} == {"consul", *local.services}
    assert {row.check_id for row in rows.checks} == {"serfHealth", *local.checks}
    for row in rows.services:
        if row.id != "consul":
            mine = local.services[row.id].service
            assert (row.name, row.tags, row.port, row.kind) == (mine.name, mine.tags, mine.port, mine.kind)
    for row in rows.checks:
        if row.check_id != "serfHealth":
            mine = local.checks[row.check_id].check
            assert (row.status, row.output, row.notes, row.service_id) == (
                mine.status,
                mine.output,
                mine.notes,
                mine.service_id,
            )
    assert (rows.node.address, rows.node.meta) == (NODE.address, NODE.meta)
    index = store.index
    assert full_sync(store, local) == []
    assert store.index == index

"""Transactions (surface rows TX1-TX3); that a refused one leaves no trace is in test_store.py."""

import pytest
from meshtest.rows import check, node, register, service

from meshagent.catalog import commands as c
from meshagent.catalog import queries, txn
from meshagent.catalog.model import Check, Node, Service, Session
from meshagent.catalog.store import Store
from meshagent.catalog.txn import CHECK_VERBS, KV_VERBS, NODE_VERBS, SERVICE_VERBS, Outcome


@pytest.fixture
def store() -> Store:
    store = Store()
    register(store, node("n1"), service("web"), check("c1"))  # index 2
    store.execute(c.KVSet("k", b"v", 7))  # index 3
    store.execute(c.SessionCreate(Session(id="s", node="n1")))
    store.execute(c.SessionCreate(Session(id="t", node="n1")))
    store.execute(c.KVLock("held", b"v", 0, "s"))
    store.flush()
    return store


def do(store: Store, *ops: c.TxnOp) -> Outcome:
    outcome = store.execute(c.Txn(ops))
    assert isinstance(outcome, Outcome)
    return outcome


WEB = Service(id="web", name="web")
#: (operation, what it is refused with; "" when it is done)
CASES = [
    (c.TxnKV("set", "new", b"1"), ""),
    (c.TxnKV("cas", "k", b"1", index=3), ""),
    (c.TxnKV("cas", "k", b"1", index=2), 'failed to set key "k", index is stale'),
    (c.TxnKV("cas", "k", b"1", index=0), 'failed to set key "k", index is stale'),
    (c.TxnKV("lock", "k", session="s"), ""),
    (c.TxnKV("lock", "held", session="t"), 'failed to lock key "held", lock is already held'),
    (c.TxnKV("lock", "k", session="x"), 'invalid session "x"'),
    (c.TxnKV("lock", "k"), "missing session"),
    (c.TxnKV("unlock", "held", session="s"), ""),
    (
        c.TxnKV("unlock", "held", session="t"),
        'failed to unlock key "held", lock isn\'t held, or is held by another session',
    ),
    (c.TxnKV("get", "k"), ""),
    (c.TxnKV("get", 'a"b'), 'key "a\\"b" doesn\'t exist'),
    (c.TxnKV("get-or-empty", "none"), ""),
    (c.TxnKV("get-tree", "none"), ""),
    (c.TxnKV("check-index", "k", index=3), ""),
    (c.TxnKV("check-index", "k", index=2), 'failed index check for key "k", current modify index 3 != 2'),
    (c.TxnKV("check-index", "none", index=2), 'failed to check index, key "none" doesn\'t exist'),
    (c.TxnKV("check-session", "held", session="s"), ""),
    (c.TxnKV("check-session", "k", session="s"), 'failed session check for key "k", current session "" != "s"'),
    (c.TxnKV("check-session", "none", session="s"), 'failed to check session, key "none" doesn\'t exist'),
    (c.TxnKV("check-not-exists", "none"), ""),
    (c.TxnKV("check-not-exists", "k"), 'key "k" exists'),
    (c.TxnKV("delete", "none"), ""),
    (c.TxnKV("delete-cas", "k", index=3), ""),
    (c.TxnKV("delete-cas", "none", index=3), ""),
    (c.TxnKV("delete-cas", "k", index=2), 'failed to delete key "k", index is stale'),
    (c.TxnKV("delete-tree", ""), ""),
    (c.TxnKV("bogus", "k"), "unknown KV operation: bogus"),
    (c.TxnNode("get", Node(name="N1")), ""),
    (c.TxnNode("get", Node(name="nn")), 'node "nn" doesn\'t exist'),
    (c.TxnNode("set", Node(name="n2")), ""),
    (c.TxnNode("cas", Node(name="n1", address="::1", modify_index=2)), ""),
    (c.TxnNode("cas", Node(name="n2")), ""),
    (c.TxnNode("cas", Node(name="n1")), 'failed to set node "n1", index is stale'),
    (c.TxnNode("cas", Node(name="n1", modify_index=1)), 'failed to set node "n1", index is stale'),
    (c.TxnNode("delete", Node(name="none")), ""),
    (c.TxnNode("delete-cas", Node(name="n1", modify_index=2)), ""),
    (c.TxnNode("delete-cas", Node(name="n1", modify_index=1)), 'failed to delete node "n1", index is stale'),
    (c.TxnNode("delete-cas", Node(name="nn", modify_index=1)), 'failed to delete node "nn", index is stale'),
    (c.TxnNode("bogus", Node(name="n1")), "unknown node operation: bogus"),
    (c.TxnService("get", "n1", WEB), ""),
    (c.TxnService("get", "n1", Service(id="zz", name="zz")), 'service "zz" on node "n1" doesn\'t exist'),
    (c.TxnService("set", "n1", Service(id="web2", name="web")), ""),
    (c.TxnService("set", "nn", WEB), "Missing node registration"),
    (c.TxnService("cas", "n1", Service(id="web", name="web", port=1, modify_index=2)), ""),
    (c.TxnService("cas", "n1", WEB), 'failed to set service "web" on node "n1", index is stale'),
    (c.TxnService("delete", "n1", Service(id="none", name="none")), ""),
    (c.TxnService("delete-cas", "n1", Service(id="web", name="web", modify_index=2)), ""),
    (c.TxnService("delete-cas", "n1", WEB), 'failed to delete service "web" on node "n1", index is stale'),
    (c.TxnService("bogus", "n1", WEB), "unknown service operation: bogus"),
    (c.TxnCheck("get", Check(node="n1", check_id="c1")), ""),
    (c.TxnCheck("get", Check(node="n1", check_id="zz")), 'check "zz" on node "n1" doesn\'t exist'),
    (c.TxnCheck("set", Check(node="n1", check_id="c2", service_id="web")), ""),
    (c.TxnCheck("set", Check(node="nn", check_id="c2")), "Missing node registration"),
    (c.TxnCheck("set", Check(node="n1", check_id="c2", service_id="zz")), "Missing service registration"),
    (c.TxnCheck("cas", Check(node="n1", check_id="c1", status="warning", modify_index=2)), ""),
    (c.TxnCheck("cas", Check(node="n1", check_id="c1")), 'failed to set check "c1" on node "n1", index is stale'),
    (c.TxnCheck("delete", Check(node="n1", check_id="none")), ""),
    (c.TxnCheck("delete-cas", Check(node="n1", check_id="c1", modify_index=2)), ""),
    (
        c.TxnCheck("delete-cas", Check(node="n1", check_id="c1", modify_index=1)),
        'failed to delete check "c1" on node "n1", index is stale',
    ),
    (c.TxnCheck("bogus", Check(node="n1")), "unknown check operation: bogus"),
]


@pytest.mark.parametrize(("op", "refusal"), CASES, ids=lambda value: str(value)[:60])
def test_tx2_tx3_what_is_done_and_what_is_refused(store: Store, op: c.TxnOp, refusal: str):
    outcome = do(store, op)
    assert [failure.what for failure in outcome.failures] == ([refusal] if refusal else [])


def test_every_verb_has_a_case():
    tried = {(type(op), op.verb) for op, _ in CASES}
    tables = {c.TxnKV: KV_VERBS, c.TxnNode: NODE_VERBS, c.TxnService: SERVICE_VERBS, c.TxnCheck: CHECK_VERBS}
    assert {(kind, verb) for kind, verbs in tables.items() for verb in verbs} <= tried


@pytest.mark.parametrize("op", [op for op, _ in CASES if not txn.writes(op)], ids=lambda value: str(value)[:60])
def test_what_counts_as_a_read_changes_nothing(store: Store, op: c.TxnOp):
    before = store.digest()
    read = txn.read(store, (op,))
    assert store.digest() == before
    assert read == do(store, op)


def test_each_operation_sees_those_before_it_and_all_have_one_index(store: Store):
    outcome = do(
        store,
        c.TxnKV("set", "m", b"1"),
        c.TxnKV("get", "m"),
        c.TxnKV("set", "m", b"2"),
        c.TxnKV("get", "m"),
        c.TxnKV("delete", "m"),
        c.TxnKV("get-or-empty", "m"),
    )
    assert [(result.kv.value, result.kv.modify_index) for result in outcome.results] == [
        (None, store.index), (b"1", store.index), (None, store.index), (b"2", store.index), (None, 0),
    ]  # fmt: skip


def test_every_failure_is_reported_by_its_place(store: Store):
    outcome = do(store, c.TxnKV("set", "m"), c.TxnKV("get", "none"), c.TxnKV("get", "m"), c.TxnKV("bogus"))
    assert [failure.op_index for failure in outcome.failures] == [1, 3]
    assert queries.kv_get(store, "m").rows is None


def test_a_transaction_wakes_whom_its_operations_wake(store: Store):
    woken: list[str] = []
    for name, result in {
        "k": queries.kv_get(store, "k"),
        "held": queries.kv_get(store, "held"),
        "web": queries.service_nodes(store, "web"),
    }.items():
        store.watches.subscribe(result.topics, lambda name=name: woken.append(name))
    store.execute(c.KVSet("held", b"before"))
    do(store, c.TxnKV("set", "k", b"2"), c.TxnKV("get", "none"))
    do(store, c.TxnKV("set", "k", b"2"))
    store.flush()
    assert sorted(woken) == ["held", "k"], "what was due before a refused transaction is not forgotten"


def test_a_node_takes_its_sessions_and_their_keys_along(store: Store):
    outcome = do(store, c.TxnNode("delete", Node(name="n1")), c.TxnKV("check-session", "held", session=""))
    assert not outcome.failures
    assert queries.session_list(store).rows == []


def test_a_service_without_an_id_does_not_take_its_node_along(store: Store):
    do(store, c.TxnService("delete", "n1", Service(id="", name="")))
    do(store, c.TxnCheck("delete", Check(node="n1")))
    assert queries.node(store, "n1").rows is not None


def test_a_name_that_belongs_to_a_living_node_is_refused(store: Store):
    """E4."""
    one, two = "40e4a748-2192-161a-0510-9bf59fe950b5", "50e4a748-2192-161a-0510-9bf59fe950b5"
    register(store, Node(name="n3", id=one), None, check("serfHealth"))
    [failure] = do(store, c.TxnNode("set", Node(name="n3", id=two))).failures
    assert failure.what.startswith(f"Node name n3 is reserved by node {one}")

"""What writing to the catalog needs, by command and by operation."""

from __future__ import annotations

from typing import Any

import pytest

from meshagent.agent.acl.access import Access
from meshagent.agent.acl.registering import require_command, require_op, row_seen
from meshagent.catalog import commands
from meshagent.catalog.acl.authorizer import Authorizer
from meshagent.catalog.acl.rules import parse_rules
from meshagent.catalog.commands import TxnCheck, TxnKV, TxnNode, TxnService
from meshagent.catalog.model import Check, CoordinateRow, KVEntry, Node, Service
from meshagent.catalog.store import Store
from meshagent.errors import Denied

NODE = Node(name="n1", address="10.0.0.1")


@pytest.fixture
def store() -> Store:
    store = Store()
    check = Check(node="n1", check_id="c", name="c", service_id="web1")
    store.execute(commands.Register(NODE, Service(id="web1", name="web"), (check,)))
    return store


def access(rules: str) -> Access:
    return Access(Authorizer(parse_rules(rules)), "acc")


WEB, API, N1 = (f'{kind} {{ policy = "write" }}' for kind in ('service "web"', 'service "api"', 'node "n1"'))

CASES: list[tuple[Any, str, bool]] = [
    (commands.Register(NODE), "", True),  # nothing of it changes
    (commands.Register(Node(name="n1", address="10.0.0.2")), "", False),
    (commands.Register(Node(name="n1", address="10.0.0.2")), N1, True),
    (commands.Register(Node(name="n1", address="10.0.0.2"), skip_node_update=True), "", True),
    (commands.Register(Node(name="new"), skip_node_update=True), "", False),
    (commands.Register(NODE, Service(id="web2", name="web")), WEB, True),
    (commands.Register(NODE, Service(id="web2", name="web")), API + N1, False),
    (commands.Register(NODE, Service(id="WEB1", name="api")), API, False),  # it would take the place of web
    (commands.Register(NODE, Service(id="WEB1", name="api")), API + WEB, True),
    (commands.Register(NODE, None, (Check(node="n1", check_id="x"),)), WEB, False),
    (commands.Register(NODE, None, (Check(node="n1", check_id="x"),)), N1, True),
    (commands.Register(NODE, None, (Check(node="n1", check_id="x", service_id="web1"),)), WEB, True),
    (commands.Register(NODE, None, (Check(node="n1", check_id="x", service_id="gone"),)), WEB, False),
    (commands.Deregister("n1"), WEB, False),
    (commands.Deregister("n1"), N1, True),
    (commands.Deregister("n1", "web1"), WEB, True),
    (commands.Deregister("n1", "web1"), N1, True),
    (commands.Deregister("n1", "web1"), API, False),
    (commands.Deregister("n1", "gone"), WEB, False),
    (commands.Deregister("n1", "", "c"), WEB, True),
    (commands.Deregister("n1", "", "gone"), WEB, False),
    (commands.CoordinateBatch((CoordinateRow(node="n1"),)), N1, True),
    (commands.CoordinateBatch((CoordinateRow(node="n1"), CoordinateRow(node="n2"))), N1, False),
    (commands.KVSet("a", b""), 'key_prefix "" { policy = "write" }', False),  # no agent writes keys for itself
]


@pytest.mark.parametrize(("command", "rules", "allowed"), CASES)
def test_commands(store: Store, command: Any, rules: str, allowed: bool) -> None:
    if allowed:
        require_command(access(rules), store, command)
    else:
        with pytest.raises(Denied):
            require_command(access(rules), store, command)


KEYS = 'key_prefix "a/" { policy = "write" } key "a/x" { policy = "read" }'
OPS: list[tuple[Any, str, bool]] = [
    (TxnKV("get", "z"), "", True),  # what it reads is left out
    (TxnKV("set", "a/b"), KEYS, True),
    (TxnKV("set", "a/x"), KEYS, False),
    (TxnKV("check-index", "a/x"), KEYS, True),
    (TxnKV("check-session", "z"), KEYS, False),
    (TxnKV("delete-tree", "a/"), KEYS, False),
    (TxnKV("delete-tree", "a/y/"), KEYS, True),
    (TxnNode("get", NODE), "", True),
    (TxnNode("delete", NODE), WEB, False),
    (TxnNode("delete", NODE), N1, True),
    (TxnService("get", "n1", Service(id="web1", name="")), "", True),
    (TxnService("delete", "n1", Service(id="web1", name="")), WEB, True),
    (TxnService("delete", "n1", Service(id="web1", name="")), API, False),
    (TxnService("set", "n1", Service(id="web1", name="api")), API, False),
    (TxnCheck("get", Check(node="n1", check_id="c")), "", True),
    (TxnCheck("delete", Check(node="n1", check_id="c", service_id="web1")), WEB, True),
    (TxnCheck("delete", Check(node="n1", check_id="c")), N1, False),  # it is one of web
    (TxnCheck("set", Check(node="n1", check_id="new")), N1, True),
]


@pytest.mark.parametrize(("op", "rules", "allowed"), OPS)
def test_operations(store: Store, op: Any, rules: str, allowed: bool) -> None:
    if allowed:
        require_op(access(rules), store, op)
    else:
        with pytest.raises(Denied):
            require_op(access(rules), store, op)


def test_results_that_may_be_seen() -> None:
    reads = access('key "a" { policy = "read" } node "n1" { policy = "read" } service "web" { policy = "read" }')
    nothing = access("")
    rows: list[Any] = [
        KVEntry(key="a"),
        NODE,
        Service(name="web"),
        Check(node="n1"),
        Check(node="x", service_name="web"),
    ]
    for row in rows:
        assert row_seen(row, reads) and not row_seen(row, nothing)
    assert not row_seen(object(), reads)

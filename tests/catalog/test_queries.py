"""Reads that other files do not cover (surface rows CT4-CT9, HL1-HL6)."""

from meshtest.rows import check, node, register, service

from meshagent.catalog import queries
from meshagent.catalog.store import Store


def filled() -> Store:
    store = Store()
    register(store, node("b", meta={"rack": "1"}), service("web", tags=("x",)), check("c", service_id="web"))
    register(
        store, node("a", meta={"rack": "2"}), service("web", tags=("y",)), check("c", "critical", service_id="web")
    )
    register(store, node("a"), None, check("disk", "warning"), skip=True)
    return store


def test_nodes_come_by_name_and_by_meta():
    store = filled()
    assert [row.name for row in queries.nodes(store).rows] == ["a", "b"]
    assert [row.name for row in queries.nodes(store, {"rack": "1"}).rows] == ["b"]
    assert queries.nodes(store, {"rack": "1", "x": "y"}).rows == []


def test_services_carry_the_union_of_their_tags():
    assert set(queries.services(filled()).rows["web"]) == {"x", "y"}
    assert queries.services(filled(), {"rack": "1"}).rows == {"web": ("x",)}


def test_a_node_is_found_by_name_and_id():
    store = Store()
    uid = "40e4a748-2192-161a-0510-9bf59fe950b5"
    register(store, node("N", id=uid), service("web"))
    for name in ("n", "N", uid, uid.upper()):
        found = queries.node_services(store, name).rows
        assert found is not None
        assert [row.id for row in found[1]] == ["web"]
    assert queries.node(store, "other").rows is None


def test_entries_have_node_checks_first():
    [entry] = [entry for entry in queries.health_service(filled(), "web").rows if entry.node.name == "a"]
    assert [row.check_id for row in entry.checks] == ["disk", "c"]


def test_checks_by_service_and_state():
    store = filled()
    assert [(row.node, row.check_id) for row in queries.health_checks(store, "WEB").rows] == [("a", "c"), ("b", "c")]
    assert [row.check_id for row in queries.health_state(store, "warning").rows] == ["disk"]
    assert len(queries.health_state(store, "any").rows) == 3
    assert [row.node for row in queries.health_state(store, "any", {"rack": "1"}).rows] == ["b"]
    assert queries.health_checks(store, "none").rows == []


def test_a_state_wakes_its_readers_for_what_enters_and_what_leaves():
    store = filled()
    for status, wakes in (("critical", True), ("passing", True), ("warning", False)):
        calls: list[str] = []
        subscription = store.watches.subscribe(
            queries.health_state(store, status).topics, lambda c=calls: c.append("x")
        )
        flipped = "passing" if queries.health_state(store, "critical").rows else "critical"
        register(store, node("a"), None, check("c", flipped, service_id="web"), skip=True)
        subscription.cancel()
        assert bool(calls) is wakes, status

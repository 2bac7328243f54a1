"""Nodes, instances and checks (surface rows CT1, CT2, C11, E4, M5)."""

import pytest
from meshtest.rows import check, deregister, node, register, service

from meshagent.catalog import queries
from meshagent.catalog.model import Connect, Proxy
from meshagent.catalog.store import Store
from meshagent.errors import InternalError


def test_the_same_registration_changes_no_index():
    store = Store()
    first = register(store, node(), service(), check("c", service_id="web"))
    register(store, node(), service(), check("c", service_id="web"))
    assert queries.nodes(store).index == first
    assert queries.health_service(store, "web").index == first
    assert queries.services(store).index == first


def test_a_change_keeps_the_create_index():
    store = Store()
    created = register(store, node(), service(port=1))
    changed = register(store, node(), service(port=2))
    [entry] = queries.service_nodes(store, "web").rows
    assert (entry.service.create_index, entry.service.modify_index) == (created, changed)
    assert entry.node.modify_index == created


def test_names_compare_without_case_and_keep_their_spelling():
    store = Store()
    register(store, node("N1"), service("Web", tags=("Blue",)))
    assert queries.node(store, "n1").rows.name == "N1"
    assert len(queries.service_nodes(store, "wEB", tags=["bLUE"]).rows) == 1


def test_all_tags_are_wanted():
    store = Store()
    register(store, node(), service(tags=("a", "b")))
    assert queries.service_nodes(store, "web", tags=["a", "b"]).rows
    assert not queries.service_nodes(store, "web", tags=["a", "c"]).rows


def test_a_check_of_an_unknown_instance_is_refused_and_nothing_is_written():
    store = Store()
    with pytest.raises(InternalError, match="Unknown service ID 'gone' for check ID 'c'"):
        register(store, node(), service(), check("c", service_id="gone"))
    assert queries.nodes(store).rows == []
    assert queries.services(store).rows == {}


def test_removing_an_instance_takes_its_checks_and_leaves_the_nodes():
    store = Store()
    register(store, node(), service(), check("c", service_id="web"), check("n"))
    deregister(store, "n1", service_id="web")
    assert [row.check_id for row in queries.health_node(store, "n1").rows] == ["n"]
    assert queries.health_service(store, "web").rows == []


def test_removing_a_node_takes_everything():
    store = Store()
    register(store, node(), service(), check("c", service_id="web"), check("n"))
    gone = deregister(store, "N1")
    assert queries.nodes(store).rows == []
    assert queries.health_state(store, "any").rows == []
    assert queries.node_services(store, "n1") == queries.Result(None, gone, (("node", "n1"), "nodes"))


def test_the_index_of_a_service_that_never_was_is_the_tables_and_then_that_of_the_last_extinction():
    store = Store()
    newest = register(store, node(), service())
    assert queries.health_service(store, "other").index == newest
    gone = deregister(store, "n1", service_id="web")
    register(store, node(), service("third"))
    assert queries.health_service(store, "web").index == gone
    assert queries.health_service(store, "other").index == gone


def test_indexes_of_one_service_do_not_move_with_another():
    store = Store()
    first = register(store, node(), service("a"))
    register(store, node(), service("b"))
    assert queries.health_service(store, "a").index == first
    assert queries.service_nodes(store, "a").index == first


def test_a_check_moves_health_and_not_the_instances():
    store = Store()
    registered = register(store, node(), service())
    checked = register(store, node(), None, check("c", service_id="web"))
    assert queries.service_nodes(store, "web").index == registered
    assert queries.health_service(store, "web").index == checked


def test_a_node_check_and_a_node_address_move_the_health_of_its_services():
    store = Store()
    register(store, node(), service())
    checked = register(store, node(), None, check("disk", "warning"))
    assert queries.health_service(store, "web").index == checked
    moved = register(store, node(address="10.0.0.99"))
    assert queries.health_service(store, "web").index == moved
    assert queries.health_service(store, "web").rows[0].node.address == "10.0.0.99"


def test_passing_drops_instances_with_any_check_that_is_not():
    store = Store()
    register(store, node("n1"), service(), check("c", service_id="web"))
    register(store, node("n2"), service(), check("c", "warning", service_id="web"))
    register(store, node("n3"), service(), check("node", "critical"))
    assert [entry.node.name for entry in queries.health_service(store, "web", passing=True).rows] == ["n1"]


def test_entries_are_the_same_objects_until_they_change():
    store = Store()
    register(store, node("n1"), service())
    register(store, node("n2"), service())
    before = queries.health_service(store, "web").rows
    register(store, node("n2"), None, check("c", service_id="web"))
    after = queries.health_service(store, "web").rows
    assert after[0] is before[0]
    assert after[1] is not before[1]


def test_a_node_with_a_new_name_keeps_its_id_and_loses_the_old_name():
    store = Store()
    uid = "40e4a748-2192-161a-0510-9bf59fe950b5"
    created = register(store, node("old", id=uid), service())
    register(store, node("new", id=uid))
    assert [row.name for row in queries.nodes(store).rows] == ["new"]
    assert queries.node(store, uid).rows.create_index == created


def test_the_name_of_a_living_node_cannot_be_taken_by_another_id():
    store = Store()
    register(store, node(id="40e4a748-2192-161a-0510-9bf59fe950b5"), None, check("serfHealth"))
    other = node(id="50e4a748-2192-161a-0510-9bf59fe950b5")
    with pytest.raises(InternalError, match="Node name n1 is reserved by node 40e4a748"):
        register(store, other)
    register(store, node(), None, check("serfHealth", "critical"), skip=True)
    register(store, other)
    assert queries.node(store, "n1").rows.id == other.id


def test_mesh_services_get_virtual_addresses_that_are_freed_with_their_last_instance():
    store = Store()
    register(store, node(), service("web"))
    proxy = service("web-proxy", kind="connect-proxy", port=20000, proxy=Proxy(destination_service_name="web"))
    register(store, node(), proxy)
    register(store, node(), service("nat", connect=Connect(native=True)))
    [entry] = queries.service_nodes(store, "web", connect=True).rows
    assert entry.service.tagged_addresses["consul-virtual"].address == "240.0.0.1"
    [native] = queries.service_nodes(store, "nat", connect=True).rows
    assert native.service.tagged_addresses["consul-virtual"].address == "240.0.0.2"
    deregister(store, "n1", service_id="web")
    register(store, node(), service("api", connect=Connect(native=True)))
    [api] = queries.service_nodes(store, "api", connect=True).rows
    assert api.service.tagged_addresses["consul-virtual"].address == "240.0.0.1"


def test_reverse_look_ups_find_nodes_and_instances():
    store = Store()
    register(store, node(address="10.0.0.1"), service(address="10.0.0.2"))
    assert [row.name for row in queries.by_address(store, "10.0.0.1").rows[0]] == ["n1"]
    assert [entry.service.name for entry in queries.by_address(store, "10.0.0.2").rows[1]] == ["web"]
    register(store, node(address="10.0.0.3"))
    assert queries.by_address(store, "10.0.0.1").rows == ([], [])


def test_an_instance_that_changes_its_service_name_moves():
    store = Store()
    register(store, node(), service("a", "x"))
    register(store, node(), service("b", "x"))
    assert queries.service_nodes(store, "a").rows == []
    assert len(queries.service_nodes(store, "b").rows) == 1
    assert queries.services(store).rows == {"b": ()}

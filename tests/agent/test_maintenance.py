"""Surface rows A12, A13: maintenance is a critical check that comes and goes."""

import pytest

from meshagent.agent.definitions import ServiceCheck, ServiceDefinition
from meshagent.agent.local import LocalState
from meshagent.agent.maintenance import node_maintenance, service_maintenance
from meshagent.clock import VirtualClock
from meshagent.errors import NotFound


@pytest.fixture
def local():
    local = LocalState(node_name="n1", datacenter="dc1", clock=VirtualClock())
    local.add_service(ServiceDefinition(name="web", tags=("a",)))
    return local


def test_a12_a_service_in_maintenance_has_a_critical_check(local):
    service_maintenance(local, "web", enable=True, token="t")
    entry = local.checks["_service_maintenance:web"]
    assert (entry.check.status, entry.check.service_name, entry.check.type, entry.token) == (
        "critical",
        "web",
        "maintenance",
        "t",
    )
    assert entry.check.notes.startswith("Maintenance mode is enabled for this service, but no reason was provided.")
    service_maintenance(local, "web", enable=True, reason="another")
    assert local.checks["_service_maintenance:web"] is entry
    service_maintenance(local, "web", enable=False)
    service_maintenance(local, "web", enable=False)
    assert local.checks == {}
    with pytest.raises(NotFound, match='Unknown service ID "zz"'):
        service_maintenance(local, "zz", enable=True)


def test_a12_it_ends_with_the_service_and_outlives_a_registration(local):
    service_maintenance(local, "web", enable=True, reason="disk")
    local.add_service(ServiceDefinition(name="web", check=ServiceCheck(ttl=1.0)), replace_existing_checks=True)
    assert local.checks["_service_maintenance:web"].check.notes == "disk"
    local.remove_service("web")
    assert local.checks == {}


def test_a13_a_node_in_maintenance(local):
    node_maintenance(local, enable=True, reason="kernel")
    check = local.checks["_node_maintenance"].check
    assert (check.name, check.notes, check.service_id) == ("Node Maintenance Mode", "kernel", "")
    node_maintenance(local, enable=False)
    assert local.checks == {}

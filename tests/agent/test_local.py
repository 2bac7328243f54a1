"""Surface rows A10-A17, K4, K5, K19, M2, M3: what is registered on a host, and how registrations replace each other."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.checks.status import CriticalCheck
from meshagent.agent.definitions import CheckDefinition, ConnectDefinition, ServiceCheck, ServiceDefinition
from meshagent.agent.local import LocalSettings, LocalState, Observer
from meshagent.catalog.model import Check, Service, ServiceAddress
from meshagent.clock import VirtualClock
from meshagent.errors import BadRequest, InternalError, NotFound


class Recorder(Observer):
    def __init__(self):
        self.seen = []

    def service_added(self, entry):
        self.seen.append(("+", entry.service.id))

    def service_removed(self, entry):
        self.seen.append(("-", entry.service.id))

    def check_added(self, entry):
        self.seen.append(("+c", entry.check.check_id))

    def check_removed(self, entry):
        self.seen.append(("-c", entry.check.check_id))

    def check_updated(self, entry):
        self.seen.append(("!", entry.check.check_id, entry.check.status))


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
def local(clock):
    return LocalState(node_name="n1", datacenter="dc1", clock=clock, rng=random.Random(1))


def ttl(**given):
    return ServiceCheck(ttl=60.0, **given)


def service(name="web", **given):
    return ServiceDefinition(name=name, **given)


def with_sidecar(name="web", **given):
    return service(name, port=80, connect=ConnectDefinition(sidecar_service=ServiceDefinition(**given)))


def mark_synced(local):
    local.node_in_sync = True
    local.gone.services.clear()
    local.gone.checks.clear()
    for entry in [*local.services.values(), *local.checks.values()]:
        entry.in_sync = True


# --- services --------------------------------------------------------------------------------------------------------


def test_a_service_comes_with_its_checks_ids_and_rows(local):
    local.add_service(service(id="w1", tags=("a",), check=ttl(), checks=(ttl(name="second", status="warning"),)))
    assert [entry.check.check_id for entry in local.checks_of("w1")] == ["service:w1:1", "service:w1:2"]
    first, second = (entry.check for entry in local.checks_of("w1"))
    assert (first.node, first.status, first.service_name, first.service_tags) == ("n1", "critical", "web", ("a",))
    assert (second.name, second.status, second.interval) == ("second", "warning", "")


def test_an_invalid_definition_changes_nothing(local):
    with pytest.raises(BadRequest, match="Missing service name"):
        local.add_service(ServiceDefinition())
    assert local.services == {}


def test_a_service_with_commands_is_refused_as_a_whole_unless_they_are_allowed(local):
    script = service(check=ServiceCheck(args=("true",), interval=10.0))
    with pytest.raises(InternalError, match="Scripts are disabled on this agent from remote calls"):
        local.add_service(script)
    assert local.services == {}
    local.settings = LocalSettings(enable_local_script_checks=True)
    with pytest.raises(InternalError, match="from remote calls"):
        local.add_service(script)
    local.add_service(script, source="config")
    local.settings = LocalSettings(enable_script_checks=True)
    local.add_service(script)
    assert list(local.checks) == ["service:web"]


def test_registering_again_keeps_the_other_checks_until_they_are_to_be_replaced(local):
    local.add_service(service(checks=(ttl(check_id="a"), ttl(check_id="b"))))
    local.put_check(Check(check_id="_service_maintenance:web", name="m", service_id="web", type="maintenance"))
    local.add_service(service(port=1))
    assert sorted(local.checks) == ["_service_maintenance:web", "a", "b"]
    local.add_service(service(checks=(ttl(check_id="b"),)), replace_existing_checks=True)
    assert sorted(local.checks) == ["_service_maintenance:web", "b"]
    assert local.gone.checks == {"a": ""}


def test_the_state_of_a_check_survives_registering_again_but_not_a_change_of_kind(local):
    local.add_service(service(check=ttl()))
    local.update_check("service:web", "passing", "fine")
    local.add_service(service(check=ttl(status="critical")))
    assert (local.checks["service:web"].check.status, local.checks["service:web"].check.output) == ("passing", "fine")
    local.add_service(service(check=ServiceCheck(tcp="127.0.0.1:1", interval=5.0)))
    assert (local.checks["service:web"].check.status, local.checks["service:web"].check.output) == ("critical", "")


def test_removing_a_service_takes_its_checks_and_its_sidecar_with_it(local):
    local.add_service(with_sidecar())
    seen = Recorder()
    local.observe(seen)
    local.remove_service("web")
    assert (local.services, local.checks) == ({}, {})
    assert seen.seen == [
        ("-", "web"),
        ("-c", "service:web-sidecar-proxy:1"),
        ("-c", "service:web-sidecar-proxy:2"),
        ("-", "web-sidecar-proxy"),
    ]
    assert list(local.gone.services) == ["web", "web-sidecar-proxy"]


def test_a_proxy_that_only_looks_like_a_sidecar_stays(local):
    local.add_service(service())
    local.put_service(Service(id="web-sidecar-proxy", name="other"))
    local.remove_service("web")
    assert list(local.services) == ["web-sidecar-proxy"]


def test_removing_what_is_unknown_is_refused_with_consuls_words(local):
    with pytest.raises(NotFound) as raised:
        local.remove_service("zz")
    assert str(raised.value) == 'Unknown service ID "zz". Ensure that the service ID is passed, not the service name.'
    with pytest.raises(NotFound) as raised:
        local.remove_check("zz")
    assert str(raised.value) == 'Unknown check ID "zz". Ensure that the check ID is passed, not the check name.'


def test_m2_sidecar_ports_are_the_lowest_free_ones_and_kept(local):
    local.settings = LocalSettings(sidecar_min_port=21000, sidecar_max_port=21001)
    local.add_service(with_sidecar("a"))
    local.add_service(with_sidecar("b"))
    ports = {entry.service.id: entry.service.port for entry in local.services.values() if entry.sidecar_of}
    assert ports == {"a-sidecar-proxy": 21000, "b-sidecar-proxy": 21001}
    local.add_service(with_sidecar("b"))
    assert local.services["b-sidecar-proxy"].service.port == 21001
    with pytest.raises(BadRequest, match=r"none left in the configured range \[21000, 21001\]"):
        local.add_service(with_sidecar("c"))
    local.remove_service("a")
    local.add_service(with_sidecar("c"))
    assert local.services["c-sidecar-proxy"].service.port == 21000


def test_a_token_goes_with_the_service_its_checks_and_its_sidecar(local):
    local.add_service(with_sidecar(), token="t")
    assert {entry.token for entry in [*local.services.values(), *local.checks.values()]} == {"t"}


def test_what_servers_give_survives_registering_again(local):
    local.add_service(service())
    given = {"consul-virtual": ServiceAddress(address="240.0.0.1", port=1), "mine": ServiceAddress(address="x")}
    local.take_back("web", Service(id="web", name="web", tags=("x",), tagged_addresses=given))
    assert local.services["web"].service.tagged_addresses == {"consul-virtual": given["consul-virtual"]}
    assert local.services["web"].service.tags == ()
    local.add_service(service(port=2))
    assert local.services["web"].service.tagged_addresses == {"consul-virtual": given["consul-virtual"]}


# --- checks ----------------------------------------------------------------------------------------------------------


def test_a14_a_check_of_its_own(local):
    entry = local.add_check(CheckDefinition(name="disk", ttl=10.0))
    assert (entry.check.check_id, entry.check.interval, entry.check.type) == ("disk", "0s", "ttl")
    assert entry.definition.id == "disk"
    with pytest.raises(NotFound, match='ServiceID "zz" does not exist'):
        local.add_check(CheckDefinition(name="x", ttl=10.0, service_id="zz"))
    with pytest.raises(InternalError, match="Scripts are disabled"):
        local.add_check(CheckDefinition(name="x", args=("true",), interval=1.0))


def test_a_check_moves_to_the_service_it_is_registered_for_last(local):
    local.add_service(service("a"))
    local.add_service(service("b"))
    local.add_check(CheckDefinition(name="c", ttl=1.0, service_id="a"))
    local.add_check(CheckDefinition(name="c", ttl=1.0, service_id="b"))
    assert local.checks_of("a") == []
    assert [entry.check.service_name for entry in local.checks_of("b")] == ["b"]


def test_k5_a_status_counts_at_once_an_output_alone_waits(local, clock):
    local.add_check(CheckDefinition(name="c", ttl=10.0))
    mark_synced(local)
    local.update_check("c", "critical", "first")
    entry = local.checks["c"]
    assert entry.in_sync
    assert entry.check.output == "first"
    assert 150.0 <= entry.deferred_until <= 450.0
    due = entry.deferred_until
    local.update_check("c", "critical", "second")
    assert entry.deferred_until == due
    assert local.release_deferred(due - 0.1) == due
    assert entry.in_sync
    assert local.release_deferred(due) is None
    assert (entry.in_sync, entry.deferred_until) == (False, None)
    mark_synced(local)
    local.update_check("c", "critical", "third")
    local.update_check("c", "passing", "third")
    assert (entry.in_sync, entry.deferred_until) == (False, None)


def test_k5_without_an_interval_an_output_counts_at_once(local):
    local.settings = LocalSettings(check_update_interval_s=0)
    local.add_check(CheckDefinition(name="c", ttl=10.0))
    mark_synced(local)
    local.update_check("c", "critical", "new")
    assert not local.checks["c"].in_sync


def test_output_can_be_discarded(local):
    local.settings = LocalSettings(discard_check_output=True)
    local.add_check(CheckDefinition(name="c", ttl=10.0))
    local.update_check("c", "passing", "secret")
    assert (local.checks["c"].check.status, local.checks["c"].check.output) == ("passing", "")


def test_the_same_result_again_is_no_change_and_unknown_checks_are_ignored(local):
    local.add_check(CheckDefinition(name="c", ttl=10.0))
    local.update_check("c", "passing", "ok")
    seen = Recorder()
    local.observe(seen)
    local.update_check("c", "passing", "ok")
    local.update_check("gone", "passing", "ok")
    assert seen.seen == []


async def test_k4_what_is_critical_and_since_when(local, clock):
    local.add_service(service("a", check=ttl(deregister_critical_service_after=90.0)))
    local.add_check(CheckDefinition(name="node", ttl=1.0, status="passing"))
    local.put_check(Check(check_id="_node_maintenance", name="m"))
    await clock.advance(30)
    local.update_check("node", "critical", "")
    await clock.advance(5)
    local.update_check("node", "critical", "still")
    local.add_check(CheckDefinition(name="node", ttl=2.0))
    assert local.critical_checks() == [
        CriticalCheck("service:a", "a", 0.0, 90.0),
        CriticalCheck("node", "", 30.0, 0.0),
    ]
    local.update_check("service:a", "warning", "")
    assert [check.check_id for check in local.critical_checks()] == ["node"]


# --- who is told -----------------------------------------------------------------------------------------------------


def test_watchers_of_a_service_are_woken_by_its_changes_only(local):
    local.add_service(service("a"))
    local.add_service(service("b"))
    woken = []
    local.watches.subscribe([("agent-service", "a")], lambda: woken.append("a"))
    local.add_service(service("b", port=1))
    assert woken == []
    local.add_service(service("a", port=1))
    assert woken == ["a"]
    local.watches.subscribe([("agent-service", "a")], lambda: woken.append("gone"))
    local.remove_service("a")
    assert woken == ["a", "gone"]


ids = st.sampled_from(["a", "b", "c"])
steps = st.one_of(
    st.tuples(st.just("add"), ids, st.booleans()),
    st.tuples(st.just("remove"), ids, st.booleans()),
    st.tuples(st.just("check"), ids, st.booleans()),
    st.tuples(st.just("uncheck"), ids, st.booleans()),
    st.tuples(st.just("update"), ids, st.booleans()),
)


@given(st.lists(steps, max_size=30))
def test_observers_can_follow_and_every_check_has_its_service(steps):
    local = LocalState(node_name="n1", datacenter="dc1", clock=VirtualClock(), rng=random.Random(1))
    services, checks = set(), set()

    class Follower(Observer):
        def service_added(self, entry):
            services.add(entry.service.id)

        def service_removed(self, entry):
            services.remove(entry.service.id)

        def check_added(self, entry):
            checks.add(entry.check.check_id)

        def check_removed(self, entry):
            checks.remove(entry.check.check_id)

    local.observe(Follower())
    for what, name, flag in steps:
        try:
            if what == "add":
                local.add_service(with_sidecar(name) if flag else service(name, check=ttl()))
            elif what == "remove":
                local.remove_service(name)
            elif what == "check":
                local.add_check(CheckDefinition(name=f"k{name}", ttl=1.0, service_id=name if flag else ""))
            elif what == "uncheck":
                local.remove_check(f"k{name}")
            else:
                local.update_check(f"k{name}", "passing" if flag else "critical", name)
        except NotFound:
            pass
    assert services == set(local.services)
    assert checks == set(local.checks)
    for check_id, entry in local.checks.items():
        assert entry.check.check_id == check_id
        assert not entry.check.service_id or entry.check.service_id in local.services
        assert (entry.critical_since is not None) == (entry.check.status == "critical")
        assert entry in local.checks_of(entry.check.service_id)

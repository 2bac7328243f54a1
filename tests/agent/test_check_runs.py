"""Surface rows K4, K19: what is registered is run; aliases follow at once; services that are dead for long go."""

import random
from dataclasses import replace

import pytest

from meshagent.agent.check_runs import CheckRuns, alias_source, node_follower
from meshagent.agent.checks.probe import CheckSettings
from meshagent.agent.checks.scheduler import CheckRunner
from meshagent.agent.definitions import CheckDefinition, ConnectDefinition, ServiceCheck, ServiceDefinition
from meshagent.agent.local import LocalState
from meshagent.agent.maintenance import node_maintenance
from meshagent.catalog import commands
from meshagent.catalog.model import Check, Node, Service
from meshagent.catalog.store import Store
from meshagent.clock import Tasks, VirtualClock


@pytest.fixture
async def running():
    clock, tasks, store = VirtualClock(), Tasks(), Store()
    local = LocalState(node_name="n1", datacenter="dc1", clock=clock)
    runner = CheckRunner(
        clock=clock,
        rng=random.Random(1),
        tasks=tasks,
        report=local.update_check,
        config=CheckSettings(),
        aliased=alias_source(local, store),
    )
    runs = CheckRuns(local, runner, node_follower(store), clock, tasks)
    runs.start()
    yield local, runner, store, clock
    runner.stop()
    await tasks.cancel()


def service(name, **given):
    return ServiceDefinition(name=name, **given)


def ttl(**given):
    return ServiceCheck(ttl=3600.0, **given)


def shown(local, check_id):
    check = local.checks[check_id].check
    return check.status, check.output


async def test_checks_are_run_while_they_are_registered(running):
    local, runner, _, clock = running
    local.add_service(service("web", check=ServiceCheck(ttl=10.0, status="passing")))
    assert "service:web" in runner
    await clock.advance(11)
    assert shown(local, "service:web") == ("critical", "TTL expired")
    local.remove_service("web")
    assert "service:web" not in runner


async def test_registering_a_ttl_check_again_gives_it_a_new_ttl(running):
    local, _, _, clock = running
    local.add_check(CheckDefinition(name="c", ttl=10.0, status="passing"))
    await clock.advance(8)
    local.add_check(CheckDefinition(name="c", ttl=10.0))
    await clock.advance(8)
    assert shown(local, "c") == ("passing", "")


async def test_maintenance_is_not_run(running):
    local, runner, _, clock = running
    node_maintenance(local, enable=True)
    await clock.advance(1)
    assert "_node_maintenance" not in runner


async def test_k19_an_alias_follows_its_service(running):
    local, _, _, clock = running
    local.add_service(service("web", port=80, connect=ConnectDefinition(sidecar_service=ServiceDefinition())))
    alias = "service:web-sidecar-proxy:2"
    await clock.advance(0)
    assert shown(local, alias) == ("passing", "No checks found.")
    local.add_check(CheckDefinition(id="c", name="C", ttl=3600.0, service_id="web", status="warning"))
    await clock.advance(0.1)
    assert shown(local, alias) == ("warning", 'Aliased check "C" failing: ')
    local.update_check("c", "passing", "ok")
    await clock.advance(0.1)
    assert shown(local, alias) == ("passing", "All checks passing.")
    node_maintenance(local, enable=True)
    await clock.advance(0.1)
    assert shown(local, alias) == ("critical", 'Aliased check "Node Maintenance Mode" failing: ')


async def test_k19_an_alias_of_an_alias_follows_too(running):
    local, _, _, clock = running
    local.add_service(service("a", check=ttl(check_id="c", status="passing")))
    local.add_service(service("b", check=ServiceCheck(check_id="ab", alias_service="a", alias_node="N1")))
    local.add_service(service("d", check=ServiceCheck(check_id="ad", alias_service="b")))
    await clock.advance(0.1)
    assert shown(local, "ad")[0] == "passing"
    local.update_check("c", "critical", "down")
    await clock.advance(0.1)
    assert shown(local, "ad")[0] == "critical"


async def test_aliases_in_a_circle_do_not_keep_each_other_awake(running):
    local, _, _, clock = running
    local.add_service(service("a", checks=(ttl(check_id="c"), ServiceCheck(check_id="x", alias_service="b"))))
    local.add_service(service("b", check=ServiceCheck(check_id="y", alias_service="a")))
    await clock.advance(30)
    assert shown(local, "x")[0] == "critical"
    assert len(shown(local, "x")[1]) < 500


async def test_k19_an_alias_of_another_node_follows_the_catalog(running):
    local, _, store, clock = running
    local.add_check(CheckDefinition(name="far", alias_node="n2", alias_service="db"))
    await clock.advance(0.1)
    assert shown(local, "far") == ("critical", "Service db could not be found on node n2")
    row = Check(check_id="k", name="K", status="warning", output="slow", service_id="db")
    store.execute(commands.Register(Node(name="n2", address="10.0.0.2"), Service(id="db", name="db"), (row,)))
    store.flush()
    await clock.advance(0.1)
    assert shown(local, "far") == ("warning", 'Aliased check "K" failing: slow')
    store.execute(commands.Deregister("n2", check_id="k"))
    store.flush()
    await clock.advance(0.1)
    assert shown(local, "far") == ("passing", "No checks found.")
    local.remove_check("far")
    assert len(store.watches) == 0


async def test_k4_a_service_that_was_critical_for_too_long_goes(running):
    local, _, _, clock = running
    local.add_service(service("a", check=ttl(deregister_critical_service_after=70.0)))
    local.add_service(service("b", check=ttl(deregister_critical_service_after=1000.0)))
    await clock.advance(69)
    assert "a" in local.services
    await clock.advance(32)
    assert list(local.services) == ["b"]


async def test_the_interval_and_the_least_time_are_those_of_the_configuration(running):
    """G22: `check_reap_interval` and `check_deregister_interval_min`."""
    local, _, _, clock = running
    await clock.advance(31)
    local.settings = replace(local.settings, check_reap_interval_s=2.0, check_deregister_min_s=5.0)
    local.add_service(service("a", check=ttl(deregister_critical_service_after=1.0)))
    await clock.advance(29)  # the interval that had begun is 30 s
    assert "a" not in local.services
    local.add_service(service("b", check=ttl(deregister_critical_service_after=1.0)))
    await clock.advance(4)
    assert "b" in local.services
    await clock.advance(3)
    assert "b" not in local.services

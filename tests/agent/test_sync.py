"""Surface rows E1-E3, K5: when the agent writes to the catalog, and what it does when it cannot."""

import random

import pytest

from meshagent.agent.definitions import CheckDefinition, ServiceCheck, ServiceDefinition
from meshagent.agent.differences import NodeRows, node_rows
from meshagent.agent.local import LocalState
from meshagent.agent.sync import AntiEntropy, scale
from meshagent.catalog import commands
from meshagent.catalog.model import Node, Service
from meshagent.catalog.store import Store
from meshagent.clock import Tasks, VirtualClock
from meshagent.errors import Denied, InternalError, NoLeader

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


def ttl(**given):
    return ServiceCheck(ttl=60.0, **given)


def test_the_interval_grows_with_the_cluster():
    assert [scale(n) for n in (1, 128, 129, 256, 257, 1024)] == [1, 1, 2, 2, 3, 4]


class Servers:
    """Takes writes into a store; `error` is raised instead while it is set."""

    def __init__(self):
        self.store = Store()
        self.written = []
        self.batches = []
        self.error = None

    async def write(self, command):
        self.written.append(command)
        if self.error is not None:
            raise self.error
        self.store.execute(command)


@pytest.fixture
async def running():
    clock, tasks, servers = VirtualClock(), Tasks(), Servers()
    local = make_local(clock)
    sync = AntiEntropy(local, servers.store, servers.write, clock, random.Random(7), tasks)
    sync.start()
    yield local, servers, clock, sync
    await sync.stop()
    await tasks.cancel()


async def test_e2_a_change_is_written_at_once_and_changes_of_one_turn_together(running):
    local, servers, clock, _ = running
    await clock.advance(0)
    assert servers.written == [commands.Register(NODE)]
    servers.written.clear()
    local.add_service(ServiceDefinition(name="a"))
    local.add_service(ServiceDefinition(name="b", check=ttl()))
    local.update_check("service:b", "passing", "")
    await clock.advance(0)
    assert [command.service.id for command in servers.written] == ["a", "b"]
    assert servers.written[1].checks[0].status == "passing"
    local.remove_service("a")
    await clock.advance(0)
    assert servers.written[2:] == [commands.Deregister("n1", service_id="a")]


async def test_e1_a_full_sync_comes_within_two_intervals(running):
    local, servers, clock, _ = running
    local.add_service(ServiceDefinition(name="a"))
    await clock.advance(0)
    servers.store.execute(commands.Deregister("n1", service_id="a"))
    await clock.advance(59)
    assert node_rows(servers.store, "n1").services == ()
    await clock.advance(61)
    assert [row.id for row in node_rows(servers.store, "n1").services] == ["a"]


async def test_a_trigger_during_a_full_sync_is_another_full_sync(running):
    """What was refused a moment ago may be allowed now: the token has changed."""
    local, servers, clock, sync = running
    await clock.advance(0)
    servers.error = Denied("the old token")
    write = servers.write

    async def slow(command):
        await clock.sleep(1)
        await write(command)

    sync._write = slow
    local.add_service(ServiceDefinition(name="a"))
    sync.trigger_full(now=True)
    await clock.advance(0.5)
    sync.trigger_full(now=True)
    await clock.advance(0.6)
    servers.error = None
    await clock.advance(2)
    assert [row.id for row in node_rows(servers.store, "n1").services] == ["a"]


async def test_without_a_leader_it_tries_again_soon_then_less_often(running):
    local, servers, clock, _ = running
    servers.error = NoLeader()
    local.add_service(ServiceDefinition(name="a"))
    await clock.advance(0)
    tries = len(servers.written)
    await clock.advance(0.5)
    assert len(servers.written) > tries
    await clock.advance(120)
    tries = len(servers.written)
    await clock.advance(120)
    assert 4 <= len(servers.written) - tries <= 8
    servers.error = None
    await clock.advance(30)
    assert [row.id for row in node_rows(servers.store, "n1").services] == ["a"]
    assert local.synced


async def test_a_new_server_is_told_within_three_seconds(running):
    local, servers, clock, sync = running
    servers.error = NoLeader()
    local.add_service(ServiceDefinition(name="a"))
    await clock.advance(200)
    servers.error = None
    sync.trigger_full()
    await clock.advance(3)
    assert local.synced
    servers.store.execute(commands.Deregister("n1", service_id="a"))
    sync.trigger_full(now=True)
    await clock.advance(0)
    assert [row.id for row in node_rows(servers.store, "n1").services] == ["a"]


async def test_e3_what_acls_deny_waits_for_the_next_full_sync(running, caplog):
    local, servers, clock, _ = running
    await clock.advance(0)
    servers.error = Denied("Permission denied")
    local.add_service(ServiceDefinition(name="a"))
    await clock.advance(0)
    assert "service 'a' is blocked by ACLs" in caplog.text
    servers.written.clear()
    local.add_service(ServiceDefinition(name="b"))
    await clock.advance(0)
    assert [command.service.id for command in servers.written] == ["b"]
    servers.error = None
    await clock.advance(120)
    assert {row.id for row in node_rows(servers.store, "n1").services} == {"a", "b"}


async def test_what_the_servers_refuse_holds_nothing_else_up(running):
    local, servers, clock, _ = running
    await clock.advance(0)
    servers.error = InternalError("no")
    local.add_service(ServiceDefinition(name="a"))
    await clock.advance(0)
    servers.error = None
    servers.written.clear()
    local.add_service(ServiceDefinition(name="b"))
    await clock.advance(0)
    assert [command.service.id for command in servers.written] == ["a", "b"]


async def test_a_bug_in_a_write_is_logged_and_does_not_end_it(running, caplog):
    local, servers, clock, _ = running
    servers.error = ZeroDivisionError()
    local.add_service(ServiceDefinition(name="a"))
    await clock.advance(0)
    assert "sync failed" in caplog.text
    servers.error = None
    await clock.advance(1)
    assert local.synced


async def test_k5_a_deferred_output_is_written_when_its_time_comes(running):
    local, servers, clock, _ = running
    local.add_check(CheckDefinition(name="c", ttl=1.0))
    await clock.advance(0)
    local.update_check("c", "critical", "new")
    await clock.advance(149)
    assert node_rows(servers.store, "n1").checks[0].output == ""
    await clock.advance(302)
    assert node_rows(servers.store, "n1").checks[0].output == "new"


async def test_a_client_reads_the_catalog_of_the_servers():
    clock, tasks, servers = VirtualClock(), Tasks(), Servers()
    local = make_local(clock)

    async def read():
        return NodeRows(services=(Service(id="old", name="old"),))

    sync = AntiEntropy(local, Store(), servers.write, clock, random.Random(7), tasks, read=read)
    assert await sync.sync_now(full=True)
    assert servers.written == [commands.Register(NODE), commands.Deregister("n1", service_id="old")]
    await sync.stop()

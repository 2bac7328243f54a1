"""The pools of agents on loopback sockets: fast timers, no daemon."""

import asyncio
import random
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from meshtest.inprocess import server_config

from meshagent.agent.gossip.key_queries import INSTALL, LIST, REMOVE, USE
from meshagent.agent.gossip.keyring import encode_key, parse_ring
from meshagent.agent.gossip.pools import MemberEvent, Pools
from meshagent.clock import SystemClock, Tasks
from meshagent.errors import ConfigError, InternalError
from meshagent.metrics import Metrics

KEY, NEXT = bytes(range(32)), bytes(range(7, 23))


def free_port() -> int:
    """A port free for UDP and TCP."""
    while True:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            try:
                udp.bind(("127.0.0.1", tcp.getsockname()[1]))
            except OSError:
                continue
            return int(tcp.getsockname()[1])


class Host:
    """One agent's gossip."""

    def __init__(self, name: str, data_dir: Path | None, **changes) -> None:
        self.name = name
        self.lan, self.wan = free_port(), free_port()
        self.data_dir = data_dir
        config = server_config(**changes)
        network = config.network
        fast = {"gossip_interval": 0.02, "probe_interval": 0.1, "probe_timeout": 0.05, "suspicion_mult": 2}
        self.config = config.replace(
            network=network._replace(
                serf_lan=network.serf_lan._replace(host="127.0.0.1", port=self.lan),
                serf_wan=network.serf_wan._replace(host="127.0.0.1", port=self.wan) if network.serf_wan else None,
            ),
            gossip_lan=config.gossip_lan.replace(**fast),
            gossip_wan=config.gossip_wan.replace(**fast),
        )
        self.events: list[MemberEvent] = []
        self.build()

    def build(self) -> None:
        self.tasks = Tasks()
        self.metrics = Metrics()
        self.pools = Pools(
            config=self.config,
            node_name=self.name,
            node_id=f"id-{self.name}",
            data_dir=self.data_dir,
            clock=SystemClock(),
            rng=random.Random(self.name),
            tasks=self.tasks,
            metrics=self.metrics,
        )
        self.pools.observe(self.events.append)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.lan}"

    def statuses(self, wan: bool = False) -> dict[str, int]:
        return {member.name: member.status for member in self.pools.members(wan=wan)}


@pytest.fixture
async def hosts():
    made: list[Host] = []

    async def make(name: str, data_dir: Path | None = None, **changes) -> Host:
        host = Host(name, data_dir, **changes)
        await host.pools.start()
        made.append(host)
        return host

    yield make
    for host in made:
        await host.tasks.cancel()
        await host.pools.stop()


async def until(holds: Callable[[], bool], seconds: float = 15.0) -> None:
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.01)


async def test_servers_join_over_lan_and_wan(hosts) -> None:
    a, b = await hosts("a"), await hosts("b")
    """Whoever is joined in the LAN pool is found in the other by itself."""
    await a.pools.join(b.address)
    await until(lambda: b.statuses() == {"a": 1, "b": 1} and b.statuses(wan=True) == {"a.dc1": 1, "b.dc1": 1})
    member = b.pools.members()[0]
    assert (member.addr, member.port, member.tags["role"], member.tags["id"]) == ("127.0.0.1", a.lan, "consul", "id-a")
    assert [event.kind for event in b.events if event.members[0].name == "a"] == ["member-join"]
    assert b.pools.local().name == "b"
    assert b.pools.local(wan=True).name == "b.dc1"
    assert (b.pools.stats()["members"], b.pools.stats()["encrypted"]) == ("2", "false")
    await until(lambda: b.metrics.counter("serf.member.join", (("network", "lan"),)).events >= 2)


async def test_a_client_is_not_in_the_wide_pool(hosts) -> None:
    client = await hosts("c", server=False)
    assert client.pools.members(wan=True) == []
    assert client.pools.stats(wan=True) == {}
    with pytest.raises(InternalError):
        await client.pools.join("127.0.0.1:1", wan=True)


async def test_leaving_failing_and_forcing(hosts) -> None:
    a, b, c = await hosts("a"), await hosts("b"), await hosts("c")
    await b.pools.join(a.address)
    await c.pools.join(a.address)
    await until(lambda: len(b.statuses()) == 3)
    await b.pools.leave()
    await b.pools.stop()
    await until(lambda: a.statuses()["b"] == 3)
    await c.pools.stop()
    await until(lambda: a.statuses()["c"] == 4)
    await a.pools.force_leave("c")
    assert a.statuses()["c"] == 3
    await a.pools.force_leave("c", prune=True)
    await until(lambda: a.statuses() == {"a": 1, "b": 3})
    with pytest.raises(InternalError, match="agent: No node found with name 'zz'"):
        await a.pools.force_leave("zz")


async def test_joining_where_nobody_listens_fails_in_gos_words(hosts) -> None:
    a = await hosts("a")
    port = free_port()
    with pytest.raises(InternalError) as raised:
        await a.pools.join(f"127.0.0.1:{port}")
    assert str(raised.value) == (
        f"1 error occurred:\n\t* Failed to join 127.0.0.1:{port}: "
        f"dial tcp 127.0.0.1:{port}: connect: connection refused\n\n"
    )
    for address, shown in (("nosuch.invalid", "nosuch"), ("", ""), ("127.0.0.1:x", "127.0.0.1:x")):
        with pytest.raises(InternalError, match=f"Failed to resolve {shown}"):
            await a.pools.join(address)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        silent = asyncio.create_task(a.pools.join(f"127.0.0.1:{listener.getsockname()[1]}"))
        connection, _ = await asyncio.get_running_loop().run_in_executor(None, listener.accept)
        connection.close()
        with pytest.raises(InternalError, match="Failed to join"):
            await silent


async def test_another_datacenter_is_refused(hosts) -> None:
    a, b = await hosts("a"), await hosts("b", datacenter="dc2")
    with pytest.raises(InternalError, match="wrong datacenter"):
        await b.pools.join(a.address)
    assert a.statuses() == {"a": 1}
    assert b.statuses() == {"b": 1}


async def test_a_taken_port_is_an_error_at_start() -> None:
    host = Host("a", None)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", host.lan))
        taken.listen()
        with pytest.raises(ConfigError, match="serf_lan"):
            await host.pools.start()


async def test_user_events_reach_all(hosts) -> None:
    a, b = await hosts("a"), await hosts("b")
    await a.pools.join(b.address)
    came: dict[str, list] = {"a": [], "b": []}
    a.pools.on_event(came["a"].append)
    b.pools.on_event(came["b"].append)
    a.pools.fire_event("consul:event:x", b"1")
    await until(lambda: len(came["a"]) == len(came["b"]) == 1)
    assert (came["b"][0].name, came["b"][0].payload) == ("consul:event:x", b"1")


async def test_changed_tags_are_told(hosts) -> None:
    a, b = await hosts("a"), await hosts("b")
    await a.pools.join(b.address)
    await until(lambda: len(b.statuses()) == 2)
    a.pools.set_tags({"bootstrap": None, "x": "1"})
    await until(lambda: b.pools.members()[0].tags.get("x") == "1")
    assert "bootstrap" not in b.pools.members()[0].tags


async def test_a_host_rejoins_from_its_snapshot_but_not_after_leaving(hosts, tmp_path: Path) -> None:
    a, b = await hosts("a"), await hosts("b", tmp_path)
    await b.pools.join(a.address)
    await until(lambda: a.statuses() == {"a": 1, "b": 1})
    snapshot = tmp_path / "serf" / "local.snapshot"
    await until(lambda: snapshot.exists() and b"alive: a " in snapshot.read_bytes())
    await b.pools.stop()
    await until(lambda: a.statuses()["b"] == 4)
    b.build()
    await b.pools.start()
    await until(lambda: a.statuses()["b"] == 1 and b.statuses() == {"a": 1, "b": 1})
    await b.pools.leave()
    await b.pools.stop()
    assert snapshot.read_bytes().endswith(b"leave\n")
    b.build()
    await b.pools.start()
    assert b.pools.pool().remembered.alive == {}
    assert snapshot.stat().st_mode & 0o777 == 0o600


async def test_keys_are_rotated_and_kept(hosts, tmp_path: Path) -> None:
    a = await hosts("a", tmp_path, encrypt=encode_key(KEY))
    b = await hosts("b", encrypt=encode_key(KEY))
    await b.pools.join(a.address)
    await until(lambda: len(a.statuses()) == 2)
    assert a.pools.stats()["encrypted"] == "true"
    pool = b.pools.pool()
    for name, key in ((INSTALL, NEXT), (USE, NEXT), (REMOVE, KEY)):
        assert (await pool.key_query(name, key)).problem is None
    told = await pool.key_query(LIST)
    assert (told.nodes, dict(told.keys), dict(told.primary_keys)) == (2, {encode_key(NEXT): 2}, {encode_key(NEXT): 2})
    ring = tmp_path / "serf" / "local.keyring"
    assert parse_ring(ring.read_bytes()) == (NEXT,)
    assert ring.stat().st_mode & 0o777 == 0o600
    await asyncio.sleep(0)
    assert a.statuses() == {"a": 1, "b": 1}
    await a.pools.stop()
    a.build()
    await a.pools.start()
    assert a.pools.pool().ring.keys == (NEXT,)


async def test_a_key_that_cannot_be_kept_is_a_refusal(hosts, tmp_path: Path) -> None:
    a = await hosts("a", tmp_path, encrypt=encode_key(KEY))
    pool = a.pools.pool()
    (tmp_path / "serf" / "local.tmp").mkdir()  # where the file is written beside itself
    told = await pool.key_query(INSTALL, NEXT)
    assert told.problem == "1/1 nodes reported failure"
    assert told.messages["a"].startswith("Failed to write keyring file: ")
    assert parse_ring((tmp_path / "serf" / "local.keyring").read_bytes()) == (KEY,)


async def test_another_key_does_not_join(hosts) -> None:
    a, b = await hosts("a", encrypt=encode_key(KEY)), await hosts("b", encrypt=encode_key(NEXT))
    with pytest.raises(InternalError, match="Failed to join"):
        await b.pools.join(a.address)
    assert a.statuses() == {"a": 1}


async def test_a_broken_keyring_keeps_from_starting(tmp_path: Path) -> None:
    (tmp_path / "serf").mkdir()
    (tmp_path / "serf" / "local.keyring").write_text("[]")
    with pytest.raises(ConfigError, match=r"local\.keyring cannot be used"):
        await Host("a", tmp_path).pools.start()


async def test_joining_is_tried_again_until_somebody_answers(hosts) -> None:
    a = await hosts("a")
    b = Host("b", None)
    a.config = a.config.replace(retry_join=(b.address,), retry_interval=0.05)
    a.pools._config = a.config
    given_up: list[str] = []
    a.pools.start_joining(given_up.append)
    await b.pools.start()
    await until(lambda: len(b.statuses()) == 2)
    await b.pools.stop()
    assert given_up == []


async def test_attempts_to_join_come_to_an_end(hosts) -> None:
    a = await hosts("a")
    a.pools._config = a.config.replace(retry_join=(f"127.0.0.1:{free_port()}",), retry_interval=0.01, retry_max=2)
    given_up: list[str] = []
    a.pools.start_joining(given_up.append)
    await until(lambda: given_up != [])
    assert given_up == ["agent: max join LAN retry exhausted, exiting"]

"""What the leader changes so that catalog and configuration agree with the pool (E4, O7)."""

from __future__ import annotations

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given

from meshagent.agent.gossip.member import Member, Status
from meshagent.agent.reconcile import UNKNOWN_S, AddServer, Plan, Reconciler, RemoveServer
from meshagent.catalog import commands
from meshagent.catalog.commands import ClusterInit, Register
from meshagent.catalog.model import Check, Node, Service, Session
from meshagent.catalog.raft.configuration import Server
from meshagent.catalog.store import Store

RECONNECT_S = 72 * 3600.0
IDS = {name: f"{at}0000000-0000-0000-0000-000000000000" for at, name in enumerate(["s1", "s2", "s3", "c1", "c2"])}


def member(name: str, status: Status = Status.ALIVE, *, addr: str = "", port: str = "8300", **tags: str) -> Member:
    if name.startswith("s"):
        tags = {"role": "consul", "port": port, "raft_vsn": "3", "build": "1.20.1:", **tags}
    return Member(
        name=name,
        addr=addr or f"10.0.0.{name[1:]}",
        port=8301,
        status=status,
        tags={"dc": "dc1", "id": IDS[name], **tags},
    )


class World:
    def __init__(self, own: str = "s1") -> None:
        self.store = Store()
        self.machine = Reconciler(self.store, "dc1", own, RECONNECT_S)
        self.servers: tuple[Server, ...] = ()

    def look(self, *members: Member, now: float = 0.0) -> Plan:
        """Plan, do it, and see that there is nothing left to do."""
        plan = self.machine.plan(members, self.servers, now)
        for write in plan.writes:
            self.store.execute(write)
        again = self.machine.plan(members, self.servers, now)
        assert not again.writes
        return plan

    def health(self, node: str) -> str:
        check = self.store.registrations.checks.get((node, "serfhealth"))
        return "" if check is None else check.status

    @property
    def nodes(self) -> set[str]:
        return set(self.store.registrations.nodes)


def test_an_alive_server_is_registered_with_its_service() -> None:
    world = World()
    world.look(member("s1"))
    assert world.health("s1") == "passing"
    service = world.store.registrations.services["s1", "consul"]
    assert (service.port, (service.meta or {})["version"]) == (8300, "1.20.1")
    world.look(member("s1", grpc_port="8502"))
    assert (world.store.registrations.services["s1", "consul"].meta or {})["grpc_port"] == "8502"


def test_a_client_is_a_node_without_a_service_and_its_own_words_stay() -> None:
    world = World()
    world.look(member("s1"), member("c1"))
    assert world.nodes == {"s1", "c1"}
    assert ("c1", "consul") not in world.store.registrations.services
    own = Node(id=IDS["c1"], name="c1", address="10.9.9.9", meta={"a": "b"})
    world.store.execute(Register(own, None, ()))
    world.look(member("s1"), member("c1", Status.FAILED))
    world.look(member("s1"), member("c1"))
    assert (world.store.registrations.nodes["c1"].meta, world.store.registrations.nodes["c1"].address) == (
        {"a": "b"},
        "10.9.9.9",
    )


def test_a_failed_member_is_critical_and_its_sessions_end_and_it_comes_back() -> None:
    world = World()
    world.look(member("s1"), member("c1"))
    world.store.execute(commands.SessionCreate(Session(id="s", node="c1", node_checks=("serfHealth",))))
    plan = world.look(member("s1"), member("c1", Status.FAILED))
    assert plan.reasons == [("c1", "member failed, marking health critical")]
    assert world.health("c1") == "critical"
    assert not world.store.sessions.rows
    world.look(member("s1"), member("c1"))
    assert world.health("c1") == "passing"


@pytest.mark.parametrize("noticed", [True, False])
def test_who_comes_back_with_another_id_takes_its_name_over(noticed: bool) -> None:
    """Its disk was lost: the same name, another id; whether or not anybody had noticed that it was away."""
    world = World()
    world.look(member("c1"), member("s1"))
    for name in ("c1", "s1"):
        world.store.execute(commands.Register(world.store.registrations.nodes[name], Service(id="web", name="web")))
    if noticed:
        world.look(member("c1", Status.FAILED), member("s1", Status.FAILED), now=5.0)
    other = {"c1": IDS["c1"][::-1], "s1": IDS["s1"][::-1]}
    world.look(*(member(name, addr="10.0.9.9", id=other[name]) for name in other), now=9.0)
    for name in other:
        node = world.store.registrations.nodes[name]
        assert (node.id, node.address, world.health(name)) == (other[name], "10.0.9.9", "passing")
        # Its agent may speak for it from now on, and its own sync removes what the other left.
        world.store.execute(commands.Register(msgspec.structs.replace(node, meta={"a": "b"}), None))
        assert [service.id for service in world.store.registrations.on_node(name) if service.id == "web"] == ["web"]


def test_a_failed_member_that_was_never_registered_is_not_made_up() -> None:
    world = World()
    world.look(member("s1"), member("c1", Status.FAILED))
    assert world.nodes == {"s1"}


def test_a_member_that_left_is_forgotten_but_the_leader_never_forgets_itself() -> None:
    world = World()
    world.look(member("s1"), member("c1"))
    world.look(member("s1", Status.LEFT), member("c1", Status.LEFT))
    assert world.nodes == {"s1"}


def test_a_leaving_member_is_still_alive() -> None:
    world = World()
    world.look(member("s1"), member("c1", Status.LEAVING))
    assert world.health("c1") == "passing"


def test_a_reaped_member_is_forgotten_at_once() -> None:
    world = World()
    world.look(member("s1"), member("c1"), member("c2"))
    world.machine.reaped(["C1"])
    world.look(member("s1"), member("c2"), now=1.0)
    assert world.nodes == {"s1", "c2"}


def test_a_leader_that_has_not_met_everybody_yet_takes_nobody_for_lost() -> None:
    """After a total restart gossip knows only itself at first."""
    world = World()
    world.look(member("s1"), member("c1"))
    world.look(member("s1"), now=10.0)
    world.look(member("s1"), now=10.0 + UNKNOWN_S - 1)
    assert world.health("c1") == "passing"
    world.look(member("s1"), now=10.0 + UNKNOWN_S)
    assert world.health("c1") == "critical"
    world.look(member("s1"), now=10.0 + RECONNECT_S)
    assert world.nodes == {"s1"}


def test_who_is_met_in_time_starts_the_clock_anew() -> None:
    world = World()
    world.look(member("s1"), member("c1"))
    world.look(member("s1"), now=0.0)
    world.look(member("s1"), member("c1"), now=UNKNOWN_S - 1)
    world.look(member("s1"), now=UNKNOWN_S)
    world.look(member("s1"), now=UNKNOWN_S + 10)
    assert world.health("c1") == "passing"


def test_nodes_that_gossip_never_had_are_left_alone() -> None:
    world = World()
    world.store.execute(Register(Node(name="far"), Service(id="x", name="x"), (Check(check_id="mine"),)))
    world.store.execute(ClusterInit("x"))
    world.look(member("s1"), now=0.0)
    world.look(member("s1"), now=10 * RECONNECT_S)
    assert world.nodes == {"s1", "far"}


# --- servers -------------------------------------------------------------------------------------------------------

ONE, TWO, THREE = (Server(IDS[f"s{n}"], f"10.0.0.{n}:8300", True) for n in (1, 2, 3))


def test_a_new_server_joins_without_a_vote() -> None:
    world = World()
    world.servers = (ONE, TWO)
    assert world.look(member("s1"), member("s2"), member("s3")).servers == [
        AddServer(IDS["s3"], "10.0.0.3:8300", False, "joined")
    ]


def test_a_server_that_moved_keeps_its_vote() -> None:
    world = World()
    world.servers = (ONE, TWO)
    assert world.look(member("s1"), member("s2", addr="10.0.9.2", port="8400")).servers == [
        AddServer(IDS["s2"], "10.0.9.2:8400", True, "moved from 10.0.0.2:8300")
    ]


def test_a_server_that_left_is_removed_and_one_that_failed_stays() -> None:
    world = World()
    world.servers = (ONE, TWO, THREE)
    assert world.look(member("s1"), member("s2", Status.FAILED), member("s3", Status.LEFT)).servers == [
        RemoveServer(IDS["s3"], "s3 left")
    ]


def test_one_that_took_over_anothers_address_comes_after_it_went() -> None:
    world = World()
    world.servers = (ONE, Server("f0000000-0000-0000-0000-000000000000", "10.0.0.2:8300", True))
    plan = world.look(member("s1"), member("s2"))
    assert [type(change) for change in plan.servers] == [RemoveServer, AddServer]


def test_a_server_that_came_back_under_another_name_is_no_server_that_left() -> None:
    world = World()
    world.servers = (ONE, TWO)
    old = Member(name="old", addr="10.0.0.2", port=8301, status=Status.LEFT, tags=member("s2").tags)
    assert world.look(member("s1"), old, member("s2")).servers == []


names = st.sampled_from(["s1", "s2", "c1", "c2"])
members = st.lists(
    st.builds(member, names, st.sampled_from(list(Status))), max_size=4, unique_by=lambda each: each.name
)


@given(st.lists(members, max_size=8))
def test_whatever_happens_a_plan_that_was_carried_out_leaves_nothing_to_do(histories: list[list[Member]]) -> None:
    world = World()
    for at, present in enumerate(histories):
        world.look(*present, now=at * 30.0)


def test_who_flaps_is_passing_again_only_when_he_stays() -> None:
    world = World()
    world.look(member("s1"), member("c1"))
    for at in range(2):
        world.look(member("s1"), member("c1", Status.FAILED), now=at * 10.0)
        world.look(member("s1"), member("c1"), now=at * 10.0 + 5)
        assert world.health("c1") == "passing"
    world.look(member("s1"), member("c1", Status.FAILED), now=20.0)
    assert world.health("c1") == "critical"
    plan = world.look(member("s1"), member("c1"), now=25.0)
    assert (world.health("c1"), plan.again_s) == ("critical", 10.0)
    plan = world.look(member("s1"), member("c1"), now=35.0)
    assert (world.health("c1"), plan.again_s) == ("passing", 0.0)

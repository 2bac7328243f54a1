import pytest

from meshagent.agent.gossip.member import Status
from meshagent.agent.gossip.member_table import MemberTable
from meshagent.agent.gossip.node import Node, NodeState
from meshagent.agent.gossip.serf_messages import Join, Leave
from meshagent.agent.gossip.serf_signals import Change

ALIVE, LEAVING, LEFT, FAILED = Status.ALIVE, Status.LEAVING, Status.LEFT, Status.FAILED


def node(name: str = "a", state: NodeState = NodeState.ALIVE, port: int = 1) -> Node:
    return Node(name, b"\x7f\0\0\1", port, state=state)


@pytest.fixture
def table() -> MemberTable:
    table = MemberTable(prune_delay_s=8.0)
    table.joined(node(), {"id": "id-a"}, 0.0)
    table.changes.clear()
    return table


def status(table: MemberTable) -> Status:
    entry = table.get("a")
    assert entry is not None
    return entry.status


def kinds(table: MemberTable) -> list[str]:
    found = [change.kind for change in table.changes]
    table.changes.clear()
    return found


def test_silence_is_failure_and_an_intent_makes_it_leaving(table: MemberTable) -> None:
    table.departed(node(state=NodeState.DEAD), 1.0)
    assert (status(table), kinds(table)) == (FAILED, [Change.FAILED])
    table.joined(node(), {}, 2.0)
    assert table.leave_intent(Leave(5, "a"), 3.0)
    assert status(table) is LEAVING
    table.departed(node(state=NodeState.DEAD), 4.0)
    assert (status(table), kinds(table)) == (LEFT, [Change.JOIN, Change.LEAVE])


def test_memberlists_word_counts_when_the_intent_was_lost(table: MemberTable) -> None:
    table.departed(node(state=NodeState.LEFT), 1.0)
    assert status(table) is LEFT


def test_who_is_gone_does_not_go_again(table: MemberTable) -> None:
    table.departed(node(state=NodeState.DEAD), 1.0)
    table.departed(node(state=NodeState.LEFT), 2.0)
    table.departed(node("unknown"), 2.0)
    assert kinds(table) == [Change.FAILED]


def test_an_intent_that_is_not_newer_is_no_news(table: MemberTable) -> None:
    assert table.join_intent(Join(5, "a"), 0.0)
    assert not table.join_intent(Join(5, "a"), 0.0)
    assert not table.leave_intent(Leave(5, "a"), 0.0)
    assert status(table) is ALIVE
    assert table.leave_intent(Leave(6, "a"), 0.0)
    assert table.join_intent(Join(7, "a"), 0.0)
    assert status(table) is ALIVE


def test_a_failed_one_that_is_made_to_leave_has_left(table: MemberTable) -> None:
    table.departed(node(state=NodeState.DEAD), 1.0)
    assert table.leave_intent(Leave(2, "a"), 2.0)
    assert (status(table), kinds(table)) == (LEFT, [Change.FAILED, Change.LEAVE])
    assert [entry.node.name for entry in table.in_state(LEFT)] == ["a"]
    assert table.in_state(FAILED) == []


@pytest.mark.parametrize(("intent", "expected"), [(Leave(9, "b"), LEAVING), (Join(9, "b"), ALIVE)])
def test_an_intent_may_come_before_its_member(table: MemberTable, intent: Join | Leave, expected: Status) -> None:
    act = table.leave_intent if isinstance(intent, Leave) else table.join_intent
    assert act(intent, 0.0)  # type: ignore[arg-type]
    assert not act(intent, 0.0)  # type: ignore[arg-type]
    table.joined(node("b"), {}, 1.0)
    entry = table.get("b")
    assert entry is not None
    assert (entry.status, entry.status_ltime) == (expected, 9)


def test_pruning(table: MemberTable) -> None:
    table.leave_intent(Leave(2, "a", True), 10.0)
    assert (table.next_prune(), table.prune(17.9)) == (18.0, [])
    assert table.prune(18.0) == ["a"]
    assert (len(table), kinds(table), table.next_prune()) == (0, [Change.REAP], None)
    table.joined(node(), {}, 20.0)
    table.departed(node(state=NodeState.DEAD), 21.0)
    table.leave_intent(Leave(3, "a", True), 22.0)
    assert table.prune(22.0) == ["a"]


def test_one_that_joins_again_is_not_pruned(table: MemberTable) -> None:
    for again in (lambda: table.join_intent(Join(9, "a"), 1.0), lambda: table.joined(node(), {}, 1.0)):
        table.leave_intent(Leave(table.get("a").status_ltime + 1, "a", True), 0.0)
        again()
        assert table.prune(100.0) == []


def test_reaping(table: MemberTable) -> None:
    for name in ("left", "failed", "own"):
        table.joined(node(name), {}, 0.0)
    table.departed(node("left", NodeState.LEFT), 0.0)
    for name in ("failed", "own"):
        table.departed(node(name, NodeState.DEAD), 0.0)

    def reap(now: float) -> list[str]:
        return table.reap(now, failed_s=100.0, left_s=50.0, intent_s=5.0, own={"own": 10.0})

    assert [sorted(reap(at)) for at in (10.0, 11.0, 50.5, 100.0, 100.5)] == [[], ["own"], ["left"], [], ["failed"]]
    assert status(table) is ALIVE


def test_flapping_is_counted(table: MemberTable) -> None:
    for at in (1.0, 2.0, 100.0):
        table.departed(node(state=NodeState.DEAD), at)
        table.joined(node(), {}, at + (0.5 if at < 100 else 61.0))
    assert table.counts["serf.member.flap"] == 2


def test_who_holds_a_node_id(table: MemberTable) -> None:
    assert table.holder_of_id("id-a") == "a"
    assert table.holder_of_id("other") is None
    table.updated(node(), {"id": "id-new"})
    assert (table.holder_of_id("id-a"), table.holder_of_id("id-new")) == (None, "a")
    table.departed(node(state=NodeState.DEAD), 1.0)
    assert table.holder_of_id("id-new") is None


def test_an_update_is_told(table: MemberTable) -> None:
    table.updated(node(port=9), {"x": "1"})
    table.updated(node("unknown"), {})
    (change,) = table.changes
    assert (change.kind, change.member.port, change.member.tags) == (Change.UPDATE, 9, {"x": "1"})
    assert table.status_times() == {"a": 0}


def test_a_member_is_made_once_until_it_changes(table: MemberTable) -> None:
    entry = table.get("a")
    assert entry is not None
    first = entry.member()
    assert entry.member() is first
    table.departed(node(state=NodeState.DEAD), 1.0)
    assert entry.member() is not first
    assert entry.member().status == FAILED
    table.updated(node(), {"x": "1"})
    assert entry.member().tags == {"x": "1"}

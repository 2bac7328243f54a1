"""What autopilot decides; above all that no change it asks for costs the quorum."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from meshagent.catalog.autopilot.configuration import AutopilotConfig
from meshagent.catalog.autopilot.decisions import Promote, Remove, decide
from meshagent.catalog.autopilot.health import ServerHealth

THEN = datetime(2024, 1, 1, tzinfo=UTC)
CONFIG = AutopilotConfig()


def server(
    id: str, *, voter: bool = True, healthy: bool = True, leader: bool = False, status: str = "alive"
) -> ServerHealth:
    healthy = healthy and status == "alive"
    return ServerHealth(id, id, f"{id}:8300", voter, leader, status, "1.20.1", {}, 0, 3, 9, healthy, THEN)


def trio(**third: object) -> list[ServerHealth]:
    return [server("a", leader=True), server("b"), server("c", **third)]  # type: ignore[arg-type]


def run(
    servers: list[ServerHealth], config: AutopilotConfig = CONFIG, *, stable_s: float = 60.0, dead: bool = True
) -> Promote | Remove | None:
    gone = {one.id for one in servers if one.status in ("failed", "left", "none")} if dead else set()
    return decide(servers, config, stable_s=dict.fromkeys((one.id for one in servers), stable_s), dead=gone)


def test_nothing_is_done_to_healthy_servers() -> None:
    assert run(trio()) is None


def test_a_healthy_server_gets_its_vote_when_it_has_been_stable() -> None:
    servers = [*trio(), server("d", voter=False)]
    assert run(servers, stable_s=9.9) is None
    decision = run(servers, stable_s=10.0)
    assert decision == Promote("d", "d:8300", "healthy for 10 s")


def test_an_unhealthy_one_gets_none() -> None:
    assert run([*trio(), server("d", voter=False, healthy=False)]) is None


def test_a_dead_server_is_removed() -> None:
    decision = run(trio(status="failed"))
    assert isinstance(decision, Remove)
    assert decision.id == "c"
    assert decision.reason == "gossip says failed; 2 of 2 others healthy"


def test_not_before_it_has_been_dead_for_a_while() -> None:
    assert run(trio(status="failed"), dead=False) is None


def test_not_when_that_is_switched_off() -> None:
    assert run(trio(status="failed"), AutopilotConfig(cleanup_dead_servers=False)) is None


def test_not_below_the_least_number_of_servers() -> None:
    assert run(trio(status="failed"), AutopilotConfig(min_quorum=3)) is None
    assert run([*trio(status="failed"), server("d")], AutopilotConfig(min_quorum=3)) is not None


def test_not_when_the_others_are_no_quorum() -> None:
    servers = [server("a", leader=True), server("b", healthy=False), server("c", status="failed")]
    assert run(servers) is None


def test_a_majority_is_never_removed() -> None:
    servers = [server("a", leader=True), server("b", status="failed"), server("c", status="none")]
    assert run(servers) is None


def test_a_dead_server_without_a_vote_goes_first() -> None:
    decision = run([*trio(status="failed"), server("d", voter=False, status="none")])
    assert isinstance(decision, Remove)
    assert decision.id == "d"


def test_a_promotion_comes_before_a_removal() -> None:
    assert isinstance(run([*trio(status="failed"), server("d", voter=False)]), Promote)


def test_the_leader_is_never_removed() -> None:
    servers = [server("a", leader=True, status="none"), server("b"), server("c")]
    assert run(servers) is None


clusters = st.lists(
    st.tuples(st.booleans(), st.booleans(), st.sampled_from(["alive", "alive", "leaving", "failed", "left", "none"])),
    max_size=8,
).map(
    lambda rows: [
        server("s0", leader=True),
        *(server(f"s{n}", voter=v, healthy=h, status=status) for n, (v, h, status) in enumerate(rows, 1)),
    ]
)
configs = st.builds(AutopilotConfig, cleanup_dead_servers=st.booleans(), min_quorum=st.integers(0, 7))


@given(clusters, configs, st.sampled_from([0.0, 10.0]))
def test_no_change_costs_the_quorum(servers: list[ServerHealth], config: AutopilotConfig, stable_s: float) -> None:
    """Apply what is decided until nothing more is: before and after each change the healthy voters are a majority."""
    for _ in range(2 * len(servers) + 1):
        decision = run(servers, config, stable_s=stable_s)
        if decision is None:
            return
        voters = [one for one in servers if one.voter]
        assert sum(one.healthy for one in voters) > len(voters) // 2
        chosen = next(one for one in servers if one.id == decision.id)
        if isinstance(decision, Promote):
            assert chosen.healthy
            assert not chosen.voter
            servers = [server(one.id) if one is chosen else one for one in servers]
        else:
            assert config.cleanup_dead_servers
            assert chosen.status in {"failed", "left", "none"}
            assert not chosen.leader
            servers = [one for one in servers if one is not chosen]
            left = sum(one.voter for one in servers)
            assert not chosen.voter or left >= config.min_quorum
        voters = [one for one in servers if one.voter]
        assert sum(one.healthy for one in voters) > len(voters) // 2
    raise AssertionError("it never comes to rest")

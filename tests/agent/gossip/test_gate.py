import pytest

from meshagent.agent.gossip.gate import lan_gate, open_gate, wan_gate

HELD = {"id-b": "b"}


@pytest.mark.parametrize(
    ("name", "tags", "reason"),
    [
        ("b", {"role": "node", "dc": "dc1", "id": "id-b"}, None),
        ("plain", {}, None),
        ("plain", {"role": "web", "dc": "dc2"}, None),
        ("x", {"role": "node", "dc": "dc2", "id": "id-x"}, "Member 'x' part of wrong datacenter 'dc2'"),
        ("x", {"role": "consul", "dc": "dc2"}, "Member 'x' part of wrong datacenter 'dc2'"),
        (
            "x", {"role": "node", "dc": "dc1", "id": "id-a"},
            "Member 'x' has conflicting node ID 'id-a' with this agent's ID",
        ),
        ("x", {"role": "node", "dc": "dc1", "id": "id-b"}, "Member 'x' has conflicting node ID 'id-b' with member 'b'"),
        ("a", {"role": "node", "dc": "dc1", "id": "id-a"}, None),
    ],
)  # fmt: skip
def test_s47_who_may_be_in_a_lan_pool(name: str, tags: dict[str, str], reason: str | None) -> None:
    assert lan_gate("dc1", "a", "id-a", HELD.get)(name, tags) == reason


def test_s47_only_servers_are_in_a_wan_pool() -> None:
    assert wan_gate("s.dc2", {"role": "consul", "dc": "dc2"}) is None
    assert wan_gate("c", {"role": "node"}) == "Member 'c' is not a server"


def test_an_open_gate() -> None:
    assert open_gate("x", {}) is None

from __future__ import annotations

from meshagent.agent.config import Listen


def test_a_place_reads_as_an_address() -> None:
    assert str(Listen("1.2.3.4", 5)) == "1.2.3.4:5"
    assert str(Listen("::1", 5)) == "[::1]:5"
    assert str(Listen(path="/run/a")) == "unix:///run/a"

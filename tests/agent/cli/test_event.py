from typing import Any

import pytest


def test_an_event_is_fired(cli: Any, stub: Any) -> None:  # CL9
    stub.answer("event/fire/de%2Fploy", {"ID": "b54fe110"}, method="PUT")
    ran = cli("event", "-name=de/ploy", "-node=^n", "-service=web", "-tag=v1", "pay load")
    assert (ran.status, ran.out, ran.err) == (0, "Event ID: b54fe110\n", "")
    assert stub.last.query == {"node": "^n", "service": "web", "tag": "v1"}
    assert stub.last.body == b"pay load"


def test_a_refusal_is_shown(cli: Any, stub: Any) -> None:
    stub.answer("event/fire/x", b"too large", method="PUT", status=500)
    ran = cli("event -name=x")
    assert (ran.status, ran.err) == (1, "Error firing event: Unexpected response code: 500 (too large)\n")


@pytest.mark.parametrize("line", ["event", "event payload", "event -name=x a b", "event -name=x -tag=t"])
def test_wrong_words_are_named(cli: Any, stub: Any, line: str) -> None:
    ran = cli(line)
    assert (ran.status, stub.asked) == (1, [])
    assert ran.err

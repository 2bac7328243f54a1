from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from meshagent.agent.cli.client import Unreachable


@pytest.fixture
def indexed(stub: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The stub's answers, with an index; a read that waits finds nobody."""
    from meshagent.agent.cli.client import Answer, Client

    plain = Client.request

    def request(self: Any, method: str, path: str, query: Any = (), *args: Any, **given: Any) -> Answer:
        answer = plain(self, method, path, query, *args, **given)
        if "index" in dict(query):
            raise KeyboardInterrupt
        return Answer(answer.status, {"X-Consul-Index": "7"}, answer.body)

    monkeypatch.setattr(Client, "request", request)
    return stub


def test_without_a_child_it_shows_the_answer_and_ends(cli: Any, indexed: Any) -> None:  # CL9
    indexed.answer("kv/a/b", [{"Key": "a/b", "Value": "eA=="}])
    ran = cli("watch -type=key -key=a/b")
    assert (ran.status, ran.out) == (0, '{\n    "Key": "a/b",\n    "Value": "eA=="\n}\n')
    indexed.answer("health/service/web", [])
    assert cli("watch -type service -service web -tag a -tag b -passingonly=true -stale").out == "[]\n"
    assert indexed.last.query == {"stale": "", "tag": "b", "passing": "1"}


def test_a_child_gets_the_change(cli: Any, indexed: Any, tmp_path: Path) -> None:
    indexed.answer("catalog/nodes", [{"Node": "n1"}])
    out = tmp_path / "out"
    ran = cli("watch", "-type=nodes", f"cat > {out}; echo $CONSUL_INDEX >> {out}")
    assert ran.status == 130  # Ctrl-C, here from the read that waits
    assert out.read_text() == '[{"Node":"n1"}]\n7\n'
    text = f"import sys; open({str(out)!r}, 'w').write(sys.stdin.read() + sys.argv[1])"
    cli("watch", "-type=nodes", "-shell=false", sys.executable, "-c", text, "$HOME")
    assert out.read_text() == '[{"Node":"n1"}]\n$HOME'


def test_a_child_that_fails_is_told_and_the_watch_goes_on(cli: Any, indexed: Any) -> None:
    indexed.answer("catalog/nodes", [])
    ran = cli("watch", "-type=nodes", "exit 3")
    assert ran.out == "Error executing handler: exit status 3\n"
    ran = cli("watch", "-type=nodes", "-shell=false", "/no/such/program")
    assert (ran.status, ran.err) == (1, "cannot run /no/such/program: No such file or directory\n")


def test_a_read_that_fails_is_tried_again_while_there_is_a_child(
    cli: Any, stub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from meshagent.agent.cli.client import Client

    pauses: list[float] = []

    def request(*args: Any, **given: Any) -> Any:
        if len(pauses) == 2:
            raise KeyboardInterrupt
        raise Unreachable("nothing answers")

    monkeypatch.setattr(Client, "request", request)
    monkeypatch.setattr("meshagent.agent.cli.watch.time.sleep", pauses.append)
    ran = cli("watch -type=nodes cat")
    assert (ran.status, pauses) == (130, [5.0, 20.0])
    assert "nothing answers; again in 5 s\n" in ran.err
    pauses.clear()
    ran = cli("watch -type=nodes")
    assert (ran.status, ran.err) == (1, "Error: nothing answers\n")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("watch", "Watch type must be specified"),
        ("watch -type=zork", "Unsupported watch type: zork; known: key, keyprefix, services"),
        ("watch -type=key", "Must specify a key to watch"),
        ("watch -type=nodes -shell=maybe", 'invalid boolean value "maybe" for -shell: true or false'),
    ],
)
def test_misuse_is_explained_without_asking_the_agent(cli: Any, stub: Any, line: str, message: str) -> None:
    ran = cli(line)
    assert ran.status == 1
    assert ran.err.startswith(message)
    assert not stub.asked

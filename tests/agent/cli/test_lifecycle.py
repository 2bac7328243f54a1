import base64
from typing import Any


def test_info_is_sections_of_pairs(cli: Any, stub: Any) -> None:  # CL4
    stub.answer("agent/self", {"Stats": {"raft": {"term": "2", "applied_index": "9"}, "agent": {"checks": "0"}}})
    assert cli("info").out == "agent:\n\tchecks = 0\nraft:\n\tapplied_index = 9\n\tterm = 2\n"
    assert cli("info -format=json").out.startswith('{\n    "raft": {')


def test_reload(cli: Any, stub: Any) -> None:  # CL4
    stub.answer("agent/reload", b"", method="PUT")
    assert cli("reload").out == "Configuration reload triggered\n"
    stub.answer("agent/reload", b"x.hcl:1:1: invalid config key zork", method="PUT", status=500)
    ran = cli("reload")
    assert (ran.status, ran.out) == (1, "")
    assert ran.err == "Error: Unexpected response code: 500 (x.hcl:1:1: invalid config key zork)\n"


def test_monitor_prints_lines_until_the_agent_ends(cli: Any, stub: Any) -> None:  # CL4
    stub.answer("agent/monitor", b"line 1\nline 2\n")
    ran = cli("monitor -log-level=debug -log-json")
    assert ran.out.startswith("line 1\nline 2\n\nRemote side ended the monitor!")
    assert stub.last.query == {"loglevel": "debug", "logjson": "true"}
    stub.answer("agent/monitor", b"Unknown log level: zz", status=400)
    assert "Unknown log level: zz" in cli("monitor -log-level=zz").err


def test_keygen_makes_32_bytes(cli: Any) -> None:  # CL11
    first, second = cli("keygen").out, cli("keygen").out
    assert len(base64.b64decode(first)) == 32
    assert first != second

import sys
from typing import Any

import pytest

from meshagent.agent.cli.agent import given_flags
from meshagent.agent.cli.go_flags import UsageProblem
from meshagent.errors import ConfigError


def test_flags_become_values_by_option_key() -> None:  # CL1
    line = (
        "-dev -server=false -node n1 -http-port=9500 -dc dc2 -retry-join a --retry-join=b -node-meta k:v "
        "-config-dir /etc/d -config-file x.hcl -config-dir=/etc/e -hcl ports{} -log-json"
    )
    assert given_flags(line.split()) == {
        "@dev": True,
        "server": False,
        "node_name": "n1",
        "ports.http": 9500,
        "datacenter": "dc2",
        "retry_join": ["a", "b"],
        "node_meta": ["k:v"],
        "@config-file": ["/etc/d", "x.hcl", "/etc/e"],
        "@hcl": ["ports{}"],
        "log_json": True,
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("-zork", "flag provided but not defined: -zork"),
        ("-http-port=x", 'invalid value "x" for flag -http-port: parse error'),
        ("-dev now", "Unexpected extra arguments: [now]"),
    ],
)
def test_bad_flags_are_one_line(cli: Any, line: str, message: str) -> None:  # CL1
    with pytest.raises(UsageProblem) as caught:
        given_flags(line.split())
    assert str(caught.value) == message
    ran = cli(f"agent {line}")
    assert (ran.status, ran.err) == (1, f"{message}; meshagent agent -help lists the flags\n")


def test_every_flag_of_the_surface_is_listed(cli: Any) -> None:  # CL1
    ran = cli("agent -help")
    assert ran.status == 0
    for name in [
        "dev",
        "server",
        "bootstrap-expect",
        "data-dir",
        "config-file",
        "config-dir",
        "node",
        "bind",
        "client",
        "advertise",
    ]:
        assert f"  -{name}" in ran.out


def test_the_daemon_gets_the_flags_and_its_status_is_ours(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Daemon:
        @staticmethod
        def run(flags: dict[str, Any]) -> int:
            if "bind_addr" in flags:
                raise ConfigError(["one problem", "another"], ["a file was skipped"])
            assert flags == {"@dev": True}
            return 7

    monkeypatch.setitem(sys.modules, "meshagent.agent.process", Daemon)
    assert cli("agent -dev").status == 7
    ran = cli("agent -bind=x")
    assert (ran.status, ran.err) == (1, "==> warning: a file was skipped\n==> one problem\n==> another\n")


def test_help_has_no_options_of_the_api(cli: Any) -> None:
    """`-datacenter` is the agent's own here."""
    assert "HTTP API options" not in cli("agent -help").out
    assert "HTTP API options:\n  -http-addr=<value>" in cli("members -help").out

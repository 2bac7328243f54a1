"""What operators ask DNS with: dig, kdig and dnsperf read our answers without complaint (surface D1-D8, D20, D25)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from meshtest.peers import output, program
from meshtest.process import AgentProcess
from meshtest.register import register


@pytest.fixture
def web(agent: AgentProcess) -> AgentProcess:
    """Three instances of web and forty of wide, without checks."""
    for at in range(1, 4):
        register(agent, {"Name": "web", "ID": f"web{at}", "Address": f"10.1.0.{at}", "Port": 8000 + at, "Tags": ["v1"]})
    for at in range(1, 41):
        agent.put(
            "/v1/catalog/register",
            {"Node": f"w{at}", "Address": f"10.2.0.{at}", "Service": {"Service": "wide", "Port": 9000}},
        )
    agent.wait("web in the catalog", lambda: len(agent.get("/v1/catalog/service/web")) == 3)
    return agent


@pytest.mark.parametrize("tool", ["dig", "kdig"])
@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
def test_dig_reads_every_kind_of_answer(web: AgentProcess, tool: str, transport: str) -> None:
    def ask(name: str, kind: str, *flags: str) -> list[str]:
        argv = [program(tool), "@127.0.0.1", "-p", str(web.ports["dns"]), name, kind, "+short", transport, *flags]
        return sorted(output(argv).split("\n"))[1:]

    addresses = ["10.1.0.1", "10.1.0.2", "10.1.0.3"]
    assert ask("web.service.consul", "A") == addresses
    assert ask("v1.web.service.dc1.consul", "A") == addresses
    assert ask("WEB.Service.Consul", "A", "+noedns") == addresses
    srv = [f"1 1 {8000 + at} 0a01000{at}.addr.dc1.consul." for at in (1, 2, 3)]
    assert ask("_web._tcp.service.consul", "SRV") == srv
    assert ask("0a010002.addr.dc1.consul", "A") == ["10.1.0.2"]
    assert ask("n1.node.consul", "A") == ["127.0.0.1"]
    assert ask("none.service.consul", "A") == []
    assert ask("consul", "NS") == ["n1.node.dc1.consul."]
    assert ask("1.0.2.10.in-addr.arpa", "PTR") == ["w1.node.dc1.consul."]


def test_a_truncated_answer_says_so_and_dig_retries_over_tcp(web: AgentProcess) -> None:
    """D25: whenever an answer is left out, TC is set (ours is stricter than Consul's); TCP gives them all."""
    argv = [program("dig"), "@127.0.0.1", "-p", str(web.ports["dns"]), "wide.service.consul", "A"]
    assert len(output([*argv, "+short", "+bufsize=512"]).split()) == 40
    cut = output([*argv, "+noedns", "+ignore"])
    assert re.search(r"flags:[^;]*\btc\b", cut)


def test_dnsperf_loses_nothing(web: AgentProcess, tmp_path: Path) -> None:
    questions = tmp_path / "questions"
    questions.write_text("web.service.consul A\nweb.service.consul SRV\nn1.node.consul A\n")
    argv = [program("dnsperf"), "-s", "127.0.0.1", "-p", str(web.ports["dns"]), "-d", str(questions)]
    printed = output([*argv, "-l", "2", "-c", "4", "-q", "100"])
    assert re.search(r"Queries lost:\s+0 ", printed), printed
    assert re.search(r"Response codes:\s+NOERROR \d+ \(100\.00%\)", printed), printed
    unexpected = [line for line in printed.splitlines() if "Warning" in line and "unexpected" in line]
    assert not unexpected

"""DNS questions to a running agent in one line, answers as sorted text."""

from __future__ import annotations

from meshtest.dnstext import answer_of, question_bytes
from meshtest.golden import DnsAnswer
from meshtest.process import AgentProcess


def dns_answer(agent: AgentProcess, name: str, kind: str = "A", *, tcp: bool = False) -> DnsAnswer:
    return answer_of(agent.dns(question_bytes({"name": name, "type": kind}), tcp=tcp))


def dns_data(agent: AgentProcess, name: str, kind: str = "A", *, tcp: bool = False) -> list[str]:
    """The data of the answer section, sorted: addresses, or `1 1 8080 host.` for SRV."""
    answer = dns_answer(agent, name, kind, tcp=tcp)
    return sorted(record.split(" ", 4)[4] for record in answer.sections.get("answer", []))

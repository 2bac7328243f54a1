"""DNS over gRPC: the answers are those of the ports for DNS."""

from __future__ import annotations

from typing import Any

import dns.message
import dns.rdatatype
import pytest
from meshtest.inprocess import InProcess

from meshagent.agent.grpc.methods import Refused
from meshagent.dns.server import DnsServer
from meshagent.dns.settings import DnsSettings
from meshagent.errors import BadRequest, Unavailable


@pytest.fixture
def names(calls: Any, live: InProcess) -> Any:
    live.agent.extras["dns"] = DnsServer(live.store, DnsSettings(), live.clock, live.agent.rng)
    return calls


@pytest.mark.parametrize("protocol", [1, 2])
async def test_d35_x34_a_question_is_answered(names: Any, live: InProcess, protocol: int) -> None:
    for number in range(1, 60):
        node = {"Node": f"n{number}", "Address": f"10.0.0.{number}", "Service": {"Service": "web", "Port": 80}}
        await live.put("/v1/catalog/register", node)
    asked = dns.message.make_query("web.service.consul", dns.rdatatype.A)
    answer = dns.message.from_wire((await names("Query", msg=asked.to_wire(), protocol=protocol)).msg)
    assert answer.id == asked.id
    assert len(answer.answer[0]) == (59 if protocol == 1 else 3), "UDP without EDNS is short"


async def test_what_is_no_question_is_refused(names: Any, live: InProcess) -> None:
    with pytest.raises(BadRequest, match="protocol"):
        await names("Query", msg=b"x")
    with pytest.raises(Refused, match="not a DNS query"):
        await names("Query", msg=b"x", protocol=1)
    del live.agent.extras["dns"]
    with pytest.raises(Unavailable, match=r"ports\.dns"):
        await names("Query", msg=b"x", protocol=1)

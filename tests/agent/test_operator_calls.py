"""What servers ask each other."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from meshtest.httpapi import Log, make_agent

from meshagent.agent.autopilot import AutopilotKeeper
from meshagent.agent.operator_calls import (
    AUTOPILOT_STATE,
    SERVER_STATS,
    at_leader,
    autopilot_state,
    operator_methods,
    own_stats,
)
from meshagent.agent.server_calls import decode
from meshagent.catalog.autopilot.health import AutopilotState, ServerStats
from meshagent.catalog.commands import KVSet
from meshagent.catalog.rpc.hello import SERVER, Peer
from meshagent.errors import NoLeader, RemoteProtocolError

SERVER_PEER = Peer("id", "n2", "dc1", "", SERVER, 1, 1)


async def test_a_server_says_how_far_its_log_is() -> None:
    agent = make_agent()
    await agent.write(KVSet("a", b"1"))
    methods: Any = operator_methods(agent)
    answer = await methods[SERVER_STATS](SERVER_PEER, b"")
    assert decode(answer, ServerStats) == ServerStats(0, 1, 1)


async def test_one_that_hears_no_leader_says_so() -> None:
    agent = make_agent()
    log: Any = agent.log
    log.leading, log.contact_ms = False, 1234
    assert own_stats(agent).last_contact is None


async def test_the_leader_is_asked_when_it_is_another_server() -> None:
    asked = []

    class Calls:
        async def call(self, method: str, payload: bytes, timeout_s: float, *, again: bool = True) -> bytes:
            asked.append((method, payload))
            return msgspec.msgpack.encode(AutopilotState(True, 1, "a", ()))

    agent = make_agent()
    agent.extras["leader_calls"] = Calls()
    assert (await autopilot_state(agent)).failure_tolerance == 1
    assert asked == [(AUTOPILOT_STATE, b"")]


async def test_without_a_leader_nobody_answers() -> None:
    agent = make_agent()
    agent.extras["autopilot"] = AutopilotKeeper(agent)
    log: Any = agent.log
    assert isinstance(log, Log)
    log.leading = False
    methods: Any = operator_methods(agent)
    with pytest.raises(NoLeader):
        await methods[AUTOPILOT_STATE](SERVER_PEER, b"")
    with pytest.raises(NoLeader):
        await at_leader(agent, AUTOPILOT_STATE, b"")


@given(st.binary(max_size=40), st.sampled_from([ServerStats, AutopilotState]))
def test_any_bytes_decode_or_are_refused(data: bytes, type_: type) -> None:
    try:
        assert isinstance(decode(data, type_), type_)
    except RemoteProtocolError as error:
        assert "does not decode" in str(error)

from __future__ import annotations

import json
from typing import Any

import pytest
from meshtest.httpapi import instance

from meshagent.agent.core import Agent
from meshagent.agent.http import fragments
from meshagent.agent.http.fragments import Memo, encode_catalog, encode_entries
from meshagent.catalog import queries


def entries(agent: Agent, count: int) -> list[Any]:
    for number in range(count):
        agent.store.execute(instance(f"n{number:03}", "web", number=number))
    return queries.health_service(agent.store, "web").rows


@pytest.mark.parametrize("count", [0, 1, fragments.PIECES_FROM, 50])
@pytest.mark.parametrize("encode", [encode_entries, encode_catalog])
def test_pieces_join_to_the_same_list(agent: Agent, count: int, encode: Any) -> None:
    rows = entries(agent, count)
    memo: Memo = {}
    first = encode(rows, memo)
    assert encode(rows, memo) == first
    assert len(json.loads(first)) == count
    assert first == b"[" + b",".join(encode([row], {})[1:-1] for row in rows) + b"]"


def test_one_change_encodes_one_piece(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    memo: Memo = {}
    rows = entries(agent, 50)
    encode_entries(rows, memo)
    encoded = []
    real = fragments.health_entry
    monkeypatch.setattr(fragments, "health_entry", lambda entry: encoded.append(entry) or real(entry))
    agent.store.execute(instance("n007", "web", number=7, status="critical"))
    body = encode_entries(queries.health_service(agent.store, "web").rows, memo)
    assert len(encoded) == 1
    assert json.loads(body)[7]["Checks"][0]["Status"] == "critical"
    assert len(memo) == 50


def test_what_is_gone_is_forgotten(agent: Agent) -> None:
    memo: Memo = {}
    rows = entries(agent, 50)
    encode_entries(rows, memo)
    encode_entries(rows[:20], memo)
    assert len(memo) == 20
    encode_entries(rows[:2], memo)
    assert memo == {}

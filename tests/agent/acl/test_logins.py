"""Logging in at another datacenter: what is sent there, and what its answers become. Logins here: test_acl_login.py."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from meshagent.agent.acl import logins
from meshagent.agent.core import Agent
from meshagent.agent.rpc import messages
from meshagent.errors import Denied, InternalError, MeshError


class Elsewhere:
    """Another datacenter: answers with `status` and `body`, remembers what it was asked."""

    def __init__(self, status: int = 200, body: bytes = b"") -> None:
        self.answer = messages.Answered(status, b"", body)
        self.asked: list[messages.Forwarded] = []

    def upstream(self, datacenter: str) -> Any:
        assert datacenter == "dc2"
        return self

    async def call(self, kind: str, payload: bytes, timeout_s: float | None) -> bytes:
        assert kind == messages.HTTP
        self.asked.append(messages.decode(messages.Forwarded, payload))
        return messages.encode(self.answer)


def agent(datacenters: Elsewhere | None) -> Agent:
    return cast("Agent", SimpleNamespace(extras={"datacenters": datacenters} if datacenters else {}))


async def test_a_login_elsewhere_is_a_request_there() -> None:
    elsewhere = Elsewhere(200, b'{"AccessorID": "a", "SecretID": "s"}')
    assert await logins.log_in_at(agent(elsewhere), "dc2", "k8s", "jwt", {"pod": "x/y"}) == ("a", "s")
    [asked] = elsewhere.asked
    assert (asked.method, asked.target, len(asked.write_id)) == ("POST", "/v1/acl/login", 16)
    assert json.loads(asked.body) == {"AuthMethod": "k8s", "BearerToken": "jwt", "Meta": {"pod": "x/y"}}


async def test_a_logout_elsewhere_shows_the_token() -> None:
    elsewhere = Elsewhere()
    await logins.log_out_at(agent(elsewhere), "dc2", "secret")
    [asked] = elsewhere.asked
    assert (asked.target, asked.headers, asked.body) == ("/v1/acl/logout", (("X-Consul-Token", "secret"),), b"")


@pytest.mark.parametrize(
    ("there", "error", "words"),
    [
        (Elsewhere(403, b"Permission denied"), Denied, "Permission denied"),
        (Elsewhere(500, b"No cluster leader"), MeshError, "datacenter dc2: No cluster leader"),
        (None, InternalError, "No path to datacenter"),
    ],
)
async def test_what_goes_wrong_there_is_told_here(there: Elsewhere | None, error: type[MeshError], words: str) -> None:
    with pytest.raises(error, match=words):
        await logins.log_in_at(agent(there), "dc2", "k8s", "jwt", {})

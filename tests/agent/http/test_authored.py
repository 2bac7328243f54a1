from types import SimpleNamespace
from typing import Any

from meshtest.httpapi import make_agent

from meshagent.agent.acl.access import Access
from meshagent.agent.http.authored import authored
from meshagent.agent.http.request import Request
from meshagent.catalog import commands
from meshagent.catalog.acl.authorizer import Authorizer
from meshagent.catalog.acl.model import Token

COMMAND = commands.KVSet("k", b"1")


def test_without_versions_a_command_goes_as_it_is() -> None:
    assert authored(make_agent(), Request("PUT", "/v1/kv/k"), COMMAND) is COMMAND


def test_the_author_is_the_token_and_the_agent_that_was_asked() -> None:
    agent = make_agent()
    agent.config.history.versions = 4  # type: ignore[misc]
    request = Request("PUT", "/v1/kv/k", asker="web1")
    request.access = Access(Authorizer(manages=True), "accessor")
    identity: Any = SimpleNamespace(token=Token(accessor_id="accessor", secret_id="hush", description="d" * 200))
    request.identity = identity
    made = authored(agent, request, COMMAND)
    assert isinstance(made, commands.Authored)
    assert (made.command, made.accessor, made.name, made.agent) == (COMMAND, "accessor", "d" * 128, "web1")
    assert (made.versions, made.max_bytes) == (4, 1 << 20)
    assert made.at.endswith("Z")
    assert "hush" not in repr(made)

"""Which token a leaf is asked for with: one that may write the service, whoever brought it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from meshagent.agent import leaf_tokens
from meshagent.agent.acl.access import Access, not_found
from meshagent.agent.leaf_tokens import LeafTokens
from meshagent.catalog.acl.authorizer import Authorizer
from meshagent.catalog.acl.rules import Rule
from meshagent.catalog.model import Proxy, Service
from meshagent.errors import Denied

#: What tokens may write; others do not exist.
RIGHTS = {"of-web": "web", "default": "plain", "agent": "", "asker": "api", "gateway": "legacy"}


class Guardian:
    tokens = SimpleNamespace(default="default", agent="agent")

    async def identify(self, secret: str) -> Any:
        if secret not in RIGHTS:
            raise not_found()
        rules = (Rule("service", RIGHTS[secret], True, "write"),) if RIGHTS[secret] else ()
        return SimpleNamespace(access=Access(Authorizer(rules)))


def made(*, acls: bool = True, server: bool = False) -> LeafTokens:
    sidecar = Service(id="p", name="web-proxy", kind="connect-proxy", proxy=Proxy(destination_service_name="web"))
    rows = [("of-web", sidecar), ("", Service(id="q", name="plain")), ("gateway", Service(id="g", name="gw"))]
    services = {service.id: SimpleNamespace(token=token, service=service) for token, service in rows}
    extras = {"acl": Guardian()} if acls else {}
    upstream = None if server else object()
    agent: Any = SimpleNamespace(extras=extras, upstream=upstream, local=SimpleNamespace(services=services))
    return LeafTokens(agent)


async def test_without_acls_none_is_needed() -> None:
    tokens = made(acls=False)
    tokens.shown("asker")
    assert await tokens.of("web") == ""
    assert not tokens._shown


@pytest.mark.parametrize(("service", "token"), [("web", "of-web"), ("plain", "default"), ("legacy", "gateway")])
async def test_that_of_a_registration_is_found(service: str, token: str) -> None:
    assert await made().of(service) == token


async def test_that_of_who_asked_lately_is_found_while_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = made()
    with pytest.raises(Denied, match="'api'"):
        await tokens.of("api")
    tokens.shown("made up")
    tokens.shown("asker")
    assert await tokens.of("api") == "asker"
    monkeypatch.delitem(RIGHTS, "asker")
    with pytest.raises(Denied):
        await tokens.of("api")
    assert not tokens._shown, "what does not exist is forgotten"


async def test_tokens_that_were_shown_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaf_tokens, "MAX_SHOWN", 2)
    tokens = made()
    for secret in ("a", "b", "a", "c"):
        tokens.shown(secret)
    assert list(tokens._shown) == ["a", "c"]
    asks_itself = made(server=True)
    asks_itself.shown("a")
    assert not asks_itself._shown

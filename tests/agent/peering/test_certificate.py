from __future__ import annotations

from datetime import UTC, datetime

import pytest
from meshtest.inprocess import InProcess

from meshagent.agent.peering import certificate
from meshagent.agent.peering.certificate import keep_certificate, new_context, renew_in_s
from meshagent.connect.certs import facts


def test_it_is_renewed_after_three_fifths_of_its_life() -> None:
    now = datetime(2026, 1, 1, 1, tzinfo=UTC)
    assert renew_in_s("2026-01-01T00:00:00Z", "2026-01-01T10:00:00Z", now) == 5 * 3600
    assert renew_in_s("2025-01-01T00:00:00Z", "2025-01-02T00:00:00Z", now) == 1.0


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The chains that a context came to show."""
    chains: list[str] = []
    monkeypatch.setattr(certificate, "load_chain", lambda context, chain, key: chains.append(chain))
    return chains


async def test_it_waits_for_a_root_and_follows_the_next_one(live: InProcess, shown: list[str]) -> None:
    authority = live.mesh.authority
    assert authority is not None
    live.tasks.start(keep_certificate(live.agent, authority, new_context()), name="certificate")
    await live.clock.advance(0.5)
    assert shown == []
    await authority.initialise()
    await live.clock.advance(5)
    (first,) = shown
    found = facts(first.encode())
    trust_domain = live.store.ca.trust_domain
    assert found.dns_names == (f"server.dc1.peering.{trust_domain}",)
    assert found.uris == (f"spiffe://{trust_domain}/agent/server/dc/dc1",)
    await live.put("/v1/connect/ca/configuration", {"Provider": "consul", "Config": {"PrivateKeyBits": 384}})
    await live.clock.advance(2)
    assert len(shown) == 2
    assert facts(shown[1].encode()).authority_key_id != found.authority_key_id
    await live.clock.advance(30)
    assert len(shown) == 2


async def test_it_is_renewed_when_its_time_has_come(
    live: InProcess, shown: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificate, "renew_in_s", lambda *_: 10.0)
    authority = live.mesh.authority
    assert authority is not None
    await authority.initialise()
    live.tasks.start(keep_certificate(live.agent, authority, new_context()), name="certificate")
    await live.clock.advance(25)
    assert len(set(shown)) == 3

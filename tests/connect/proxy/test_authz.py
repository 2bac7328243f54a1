"""Who may come in."""

from __future__ import annotations

import pytest

from meshagent.connect.intentions import Intention
from meshagent.connect.proxy.authz import authorize
from meshagent.connect.snapshot import ProxySnapshot

TD = "td.consul"


def snapshot(allow: bool, *intentions: Intention) -> ProxySnapshot:
    return ProxySnapshot("p", "api", "dc1", TD, allow, "the default", intentions=intentions)


def uri(service: str, trust_domain: str = TD, namespace: str = "default") -> str:
    return f"spiffe://{trust_domain}/ns/{namespace}/dc/dc1/svc/{service}"


def test_the_intentions_decide_then_the_default() -> None:
    rules = (Intention("web", "api", "deny", 9), Intention("cron", "api", "audit", 9))
    assert not authorize(snapshot(True, *rules), uri("web")).allowed
    assert authorize(snapshot(True, *rules), uri("other")).reason == "the default"
    assert not authorize(snapshot(False, *rules), uri("other")).allowed
    audited = authorize(snapshot(False, *rules), uri("cron"))
    assert (audited.allowed, audited.audited) == (True, True)


@pytest.mark.parametrize(
    ("identity", "why"),
    [
        ("", "names no SPIFFE id"),
        ("https://example.com", "names no SPIFFE id"),
        (f"spiffe://{TD}/agent/server/dc/dc1", "is not a service's"),
        (uri("web", "other.consul"), "is of the trust domain other.consul"),
    ],
)
def test_other_certificates_are_refused_whatever_the_default_says(identity: str, why: str) -> None:
    decision = authorize(snapshot(True, Intention("*", "api", "allow", 8)), identity)
    assert (decision.allowed, why in decision.reason) == (False, True)


def test_nobody_of_another_namespace_is_spoken_of() -> None:
    rules = (Intention("web", "api", "deny", 9),)
    assert authorize(snapshot(True, *rules), uri("web", namespace="x")).allowed

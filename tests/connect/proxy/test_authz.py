"""Who may come in."""

from __future__ import annotations

import msgspec
import pytest

from meshagent.connect.intentions import Intention
from meshagent.connect.peers import Trust
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


def peered(incoming: bool, *intentions: Intention) -> ProxySnapshot:
    trust = Trust("east", "east.consul", ("pem",), incoming)
    return msgspec.structs.replace(snapshot(False, *intentions), trusts=(trust,))


def test_a_peer_is_not_one_of_us() -> None:  # M54
    ours, theirs = Intention("web", "api", "allow", 9), Intention("web", "api", "allow", 9, peer="east")
    far = uri("web", "east.consul")
    assert not authorize(peered(True, ours), far).allowed
    assert authorize(peered(True, theirs), far).allowed
    assert not authorize(peered(True, theirs), uri("web")).allowed
    assert not authorize(peered(True, theirs), uri("db", "east.consul")).allowed


def test_a_peer_to_which_nothing_is_exported_is_refused() -> None:
    theirs = Intention("web", "api", "allow", 9, peer="east")
    decision = authorize(peered(False, theirs), uri("web", "east.consul"))
    assert (decision.allowed, decision.reason) == (False, "the certificate is of the trust domain east.consul")


def test_nobody_of_another_namespace_is_spoken_of() -> None:
    rules = (Intention("web", "api", "deny", 9),)
    assert authorize(snapshot(True, *rules), uri("web", namespace="x")).allowed

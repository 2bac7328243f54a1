"""Sockets; the recorded resources hold the usual ones."""

from __future__ import annotations

from meshagent.connect.envoy import tls, wire
from meshagent.connect.peers import Trust
from meshagent.connect.snapshot import ProxySnapshot

SNAPSHOT = ProxySnapshot(
    "web-proxy", "web", "dc1", "own.consul", True, "", roots=("own",), leaf_chain="leaf", leaf_key="key",
    trusts=(Trust("east", "east.consul", ("theirs",), incoming=True), Trust("west", "west.consul", ("others",))),
)  # fmt: skip


def test_the_roots_of_a_peer_vouch_for_its_own_trust_domain_only() -> None:
    config = tls.downstream(SNAPSHOT)["typed_config"]
    custom = config["common_tls_context"]["validation_context"]["custom_validator_config"]
    assert custom["typed_config"]["trust_domains"] == [
        {"name": "east.consul", "trust_bundle": {"inline_string": "theirs\n"}},
        {"name": "own.consul", "trust_bundle": {"inline_string": "own\n"}},
    ]
    wire.read(config)


def test_a_service_of_a_peer_is_verified_by_its_roots() -> None:
    context = tls.upstream(SNAPSHOT, "x", ("spiffe://west.consul/x",), "west")["typed_config"]["common_tls_context"]
    assert context["validation_context"]["trusted_ca"] == {"inline_string": "others\n"}
    assert tls.roots_for(SNAPSHOT, "nobody") == ()


def names(identities: tuple[str, ...], peer: str) -> list[str]:
    context = tls.upstream(SNAPSHOT, "x", identities, peer)["typed_config"]["common_tls_context"]["validation_context"]
    assert context["trusted_ca"]["inline_string"]
    return [one["matcher"]["exact"] for one in context["match_typed_subject_alt_names"]]


def test_nobody_counts_where_no_identity_or_no_root_is_known() -> None:
    assert names((), "") == ["spiffe://own.consul/nobody"]
    assert names(("spiffe://x/y",), "stranger") == ["spiffe://own.consul/nobody"]

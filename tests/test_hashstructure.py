"""The hashes are those that Go's hashstructure gives, which others compare with theirs."""

from __future__ import annotations

from meshagent.hashstructure import hash_struct, hash_text, hash_value, ordered


def test_the_hash_of_a_customised_chain_is_consuls() -> None:
    """What the tests of Consul's Go client expect of an overridden chain."""
    fields = [
        ("OverrideMeshGateway", hash_struct("MeshGatewayConfig", [("Mode", hash_text("local"))])),
        ("OverrideProtocol", hash_text("grpc")),
        ("OverrideConnectTimeout", hash_value(22_000_000_000)),
    ]
    assert f"{hash_struct('', fields):x}"[:8] == "98809527"


def test_order_counts_in_lists_and_not_in_maps() -> None:
    assert hash_value(["a", "b"]) != hash_value(["b", "a"])
    assert hash_value({"a": 1, "b": 2}) == hash_value({"b": 2, "a": 1})
    assert ordered(1, 2) != ordered(2, 1)
    assert len({hash_value(value) for value in (None, 1, "1", True, 2.0, [1], {"1": 1})}) == 7
    assert hash_value(0) == hash_value(None)

"""The hash of a chain's overrides: Consul's, of what they changed."""

from __future__ import annotations

from meshagent.connect.overrides import Overrides, customization

ALL = Overrides(protocol="grpc", connect_timeout="22s", mesh_gateway="local")


def test_it_is_the_value_that_the_go_client_expects() -> None:
    assert customization(ALL, {"protocol", "connect_timeout", "mesh_gateway"}) == "98809527"


def test_an_override_without_effect_does_not_count() -> None:
    assert customization(ALL, {"protocol"}) == customization(Overrides(protocol="grpc"), {"protocol"})
    assert customization(ALL, set()) == ""

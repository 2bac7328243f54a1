"""Extensions in their order; those that cannot be applied."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from meshtest.extending import extended, http_filters_of, sidecar

from meshagent.catalog.model import EnvoyExtension
from meshagent.connect.envoy.extensions import ExtensionFailed, apply
from meshagent.connect.envoy.render import render

AUTHZ = {"Config": {"GrpcService": {"Target": {"URI": "localhost:9191"}}}}


def lua(script: str, **more: Any) -> EnvoyExtension:
    arguments = {"Listener": "inbound", "Script": script, **more.pop("arguments", {})}
    return EnvoyExtension(name="builtin/lua", arguments=arguments, **more)


def test_later_ones_come_behind_earlier_ones() -> None:
    first, second = lua("1"), EnvoyExtension(name="builtin/ext-authz", arguments=AUTHZ)
    found = render(sidecar(first, second))
    assert http_filters_of(found, "public_listener")[-3:] == ["lua", "ext_authz", "router"]
    found = render(sidecar(second, first))
    assert http_filters_of(found, "public_listener")[-3:] == ["ext_authz", "lua", "router"]


def test_what_was_rendered_stays_as_it_was() -> None:
    plain = render(sidecar())
    before = repr(plain)
    assert apply(plain, sidecar(lua("1"))) != plain
    assert repr(plain) == before


def test_other_kinds_of_proxies_are_left_alone() -> None:
    assert render(sidecar(lua("1", arguments={"ProxyType": "api-gateway"}))) == render(sidecar())


@pytest.mark.parametrize(
    ("extension", "why"),
    [
        (lua(""), "missing Script value"),
        (lua("1", consul_version="> 99"), "it is for Consul > 99"),
        (lua("1", envoy_version="< 1.30"), "it is for Envoy < 1.30, this is 1.40.0"),
        (EnvoyExtension(name="builtin/ext-authz", arguments={"Config": 1}), "Config: a map is wanted"),
    ],
)
def test_one_that_cannot_be_applied(extension: EnvoyExtension, why: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert render(sidecar(extension), "1.40.0") == render(sidecar())
    assert why in caplog.text
    required = EnvoyExtension(
        name=extension.name,
        arguments=extension.arguments,
        consul_version=extension.consul_version,
        envoy_version=extension.envoy_version,
        required=True,
    )
    with pytest.raises(ExtensionFailed, match=f"required extension {extension.name} of web-sidecar-proxy: "):
        render(sidecar(required), "1.40.0")


def test_versions_that_are_right_or_unknown() -> None:
    good = lua("1", consul_version=">= 1.16", envoy_version=">= 1.30", required=True)
    assert render(sidecar(good), "1.40.0") == render(sidecar(good)) == render(sidecar(lua("1")))


def test_half_of_one_counts_for_nothing() -> None:
    """The first listener would have its filter when the second finds no cluster."""
    target = {"Service": {"Name": "nobody"}}
    config = {"GrpcService": {"Target": target}}
    assert extended("builtin/ext-authz", {"ListenerType": "outbound", "Config": config}) == render(sidecar())

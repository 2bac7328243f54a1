"""Where gateways bind."""

from __future__ import annotations

from typing import Any

import pytest

from meshagent.catalog.model import Proxy, Service, ServiceAddress
from meshagent.connect.gateways.addresses import Bind, bind_addresses, binds_of

TAGGED = {"wan": ServiceAddress(address="1.1.1.1", port=2), "lan": ServiceAddress(address="10.0.0.1", port=1)}


def gateway(config: dict[str, Any], address: str = "10.0.0.1") -> Service:
    return Service(name="gw", address=address, port=1, tagged_addresses=TAGGED, proxy=Proxy(config=config))


@pytest.mark.parametrize(
    ("config", "binds"),
    [
        ({}, [("default", "10.0.0.1", 1)]),
        ({"envoy_gateway_no_default_bind": True}, []),
        ({"envoy_gateway_no_default_bind": "yes"}, [("default", "10.0.0.1", 1)]),
        ({"envoy_gateway_bind_tagged_addresses": True}, [("default", "10.0.0.1", 1), ("wan", "1.1.1.1", 2)]),
        (
            {
                "envoy_gateway_no_default_bind": True,
                "envoy_gateway_bind_addresses": {"b": {"Address": "::", "Port": 5}, "a": {"address": "0.0.0.0"}},
            },
            [("a", "0.0.0.0", 0), ("b", "::", 5)],
        ),
        ({"envoy_gateway_bind_addresses": {"b": "x", "c": {"address": 1}, "d": {"address": "a", "port": "x"}}},
         [("default", "10.0.0.1", 1)]),
        ({"envoy_gateway_bind_addresses": [1]}, [("default", "10.0.0.1", 1)]),
    ],
)  # fmt: skip
def test_the_configuration_decides(config: dict[str, Any], binds: list[tuple[str, str, int]]) -> None:
    assert binds_of(gateway(config)) == tuple(Bind(*one) for one in binds)


def test_without_an_address_it_is_for_everybody() -> None:
    assert bind_addresses(gateway({}, "")) == ("0.0.0.0",)

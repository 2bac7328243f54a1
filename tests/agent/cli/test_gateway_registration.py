"""What `connect envoy -register` registers."""

from __future__ import annotations

from typing import Any

import pytest

from meshagent.agent.cli.gateway_registration import Wanted, address, registration
from meshagent.errors import BadRequest

OWN = {"127.0.0.1", "10.0.0.5", "192.0.2.7", "::1"}


def wanted(**more: Any) -> Wanted:
    return Wanted(kind="mesh-gateway", name="mgw", proxy_id="mgw-1", **more)


def test_without_an_address_it_is_in_the_agents_network() -> None:
    assert registration(wanted(), OWN) == {
        "Kind": "mesh-gateway",
        "ID": "mgw-1",
        "Name": "mgw",
        "Address": "",
        "Port": 443,
        "TaggedAddresses": {},
        "Check": {
            "Name": "mesh-gateway listening",
            "TCP": "127.0.0.1:443",
            "Interval": "10s",
            "DeregisterCriticalServiceAfter": "6h",
        },
    }


def test_one_address_is_advertised() -> None:
    body = registration(wanted(lan=("10.0.0.5", 8443), deregister_after="1h"), OWN)
    assert (body["Address"], body["Port"]) == ("10.0.0.5", 8443)
    assert body["TaggedAddresses"] == {"lan": {"Address": "10.0.0.5", "Port": 8443}}
    assert body["Check"]["TCP"] == "10.0.0.5:8443"
    assert body["Check"]["DeregisterCriticalServiceAfter"] == "1h"
    assert "Proxy" not in body


def test_two_addresses_of_this_host_are_bound() -> None:
    body = registration(wanted(lan=("10.0.0.5", 8443), wan=("192.0.2.7", 443)), OWN)
    assert body["TaggedAddresses"]["wan"] == {"Address": "192.0.2.7", "Port": 443}
    assert body["Proxy"] == {
        "Config": {"envoy_gateway_no_default_bind": True, "envoy_gateway_bind_tagged_addresses": True}
    }


def test_a_wan_address_of_a_router_is_only_advertised() -> None:
    body = registration(wanted(lan=("10.0.0.5", 8443), wan=("198.51.100.1", 443)), OWN)
    assert body["TaggedAddresses"]["wan"]["Address"] == "198.51.100.1"
    assert "Proxy" not in body


def test_binds_stand_for_all_rules() -> None:
    body = registration(wanted(lan=("203.0.113.1", 8443), binds={"public": ("0.0.0.0", 8443)}), OWN)
    assert body["Proxy"]["Config"] == {
        "envoy_gateway_no_default_bind": True,
        "envoy_gateway_bind_addresses": {"public": {"Address": "0.0.0.0", "Port": 8443}},
    }


def test_an_address_of_another_host_cannot_be_bound() -> None:
    with pytest.raises(BadRequest, match=r'The LAN address "203\.0\.113\.1" will not be bindable. Either set'):
        registration(wanted(lan=("203.0.113.1", 8443)), OWN)


def test_servers_behind_a_mesh_gateway_are_said_in_its_meta() -> None:
    assert registration(wanted(expose_servers=True), OWN)["Meta"] == {"consul-wan-federation": "1"}


def test_addresses() -> None:
    assert address("-address", "10.0.0.5:8443") == ("10.0.0.5", 8443)
    assert address("-address", ":443") == ("", 443)
    assert address("-address", "[::1]:443") == ("::1", 443)


@pytest.mark.parametrize("text", ["10.0.0.5", "::1:443x", "10.0.0.5:", "10.0.0.5:0", "a:70000", "::1:443"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(BadRequest, match="invalid value for flag -address: Error parsing"):
        address("-address", text)

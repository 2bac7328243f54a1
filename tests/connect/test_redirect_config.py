"""A redirection as JSON: fields as Nomad and consul-k8s write them, and what is wrong with others."""

from __future__ import annotations

import ipaddress
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.connect.redirect import OUTBOUND_PORT, Redirection
from meshagent.connect.redirect_config import MAX_BYTES, redirection_of
from meshagent.errors import BadRequest

#: What consul-k8s 1.6.1 gave to a pod.
RECORDED = (
    '{"ConsulDNSIP":"127.0.0.1","ConsulDNSPort":8600,"ProxyUserID":"5995","ProxyInboundPort":20000,'
    '"ProxyOutboundPort":15001,"ExcludeInboundPorts":["20200","20400"],"ExcludeOutboundPorts":null,'
    '"ExcludeOutboundCIDRs":null,"ExcludeUIDs":["5996"],"NetNS":"","IptablesProvider":null}'
)


def test_p2_what_consul_k8s_writes() -> None:
    assert redirection_of(RECORDED) == Redirection(
        uids=(5995, 5996), inbound_port=20000, outbound_port=15001, inbound_ports=((20200, 20200), (20400, 20400)),
        dns_ip="127.0.0.1", dns_port=8600,
    )  # fmt: skip


def test_the_least() -> None:
    assert redirection_of(b'{"ProxyUserID": "1", "ProxyInboundPort": 2}') == Redirection(
        uids=(1,), inbound_port=2, outbound_port=OUTBOUND_PORT
    )


def test_networks_and_ranges() -> None:
    found = redirection_of(
        json.dumps(
            {
                "ProxyUserID": "1", "ProxyInboundPort": 2, "ExcludeOutboundPorts": ["80:90"],
                "ExcludeOutboundCIDRs": ["10.0.0.0/8", "fd00::1"],
            }
        )
    )  # fmt: skip
    assert found.outbound_ports == ((80, 90),)
    assert found.networks == (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::1/128"))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"ProxyUserID": ""}, "ProxyUserID is required"),
        ({"ProxyInboundPort": 0}, "ProxyInboundPort is required"),
        ({"ProxyUserID": "root"}, "ProxyUserID: 'root' is not the number of a user"),
        ({"ExcludeUIDs": ["9999999999"]}, "ExcludeUIDs"),
        ({"ProxyInboundPort": 70000}, "ProxyInboundPort: '70000' is not a port"),
        ({"ProxyOutboundPort": -1}, "ProxyOutboundPort"),
        ({"ConsulDNSPort": 65536}, "ConsulDNSPort"),
        ({"ConsulDNSIP": "here"}, "ConsulDNSIP: 'here' is not an address"),
        ({"ExcludeInboundPorts": ["ssh"]}, "ExcludeInboundPorts"),
        ({"ExcludeOutboundPorts": ["9:1"]}, "ends before it begins"),
        ({"ExcludeOutboundCIDRs": ["x"]}, "ExcludeOutboundCIDRs"),
        ({"ExcludeUIDs": "5996"}, "cannot be read"),
    ],
)
def test_what_is_wrong_is_named(changed: dict[str, object], words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        redirection_of(json.dumps({"ProxyUserID": "1", "ProxyInboundPort": 2, **changed}))


@given(text=st.binary(max_size=100) | st.text(max_size=100))
def test_any_text_is_read_or_refused(text: str | bytes) -> None:
    with pytest.raises(BadRequest):
        redirection_of(text)


def test_it_is_not_longer_than_an_environment() -> None:
    with pytest.raises(BadRequest, match="bytes"):
        redirection_of(" " * (MAX_BYTES + 1))

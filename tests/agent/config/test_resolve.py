from __future__ import annotations

from typing import Any

import pytest

from meshagent.agent.config import Host
from meshagent.agent.sockaddr import Interface

LO = Interface("lo", "127.0.0.1", 8, frozenset({"up", "loopback"}))
ETH0 = Interface("eth0", "10.1.2.3", 16, frozenset({"up"}), default_route=True)
DOCKER = Interface("docker0", "172.17.0.1", 16)
SIX = Interface("eth0", "2600::5", 64, frozenset({"up"}), default_route=True)


def on(*interfaces: Interface) -> Host:
    return Host("host", lambda: list(interfaces))


ALL = 'bind_addr = "0.0.0.0"'


def test_what_is_not_said_follows_from_the_rest(configure: Any) -> None:
    """G5, G10, G12, G17."""
    client = configure('datacenter = "DC1"')
    assert (client.node_name, client.server_name, client.datacenter, client.primary_datacenter) == (
        "host", "host", "dc1", "dc1",
    )  # fmt: skip
    assert (client.leave_on_terminate, client.skip_leave_on_interrupt, client.ports.grpc_tls) == (True, False, -1)
    server = configure('server = true domain = "Example.COM" acl { default_policy = "deny" policy_ttl = "5s" }')
    assert (server.leave_on_terminate, server.skip_leave_on_interrupt, server.ports.grpc_tls) == (False, True, 8503)
    assert (server.domain, server.alt_domain) == ("example.com.", "")
    assert (server.effective_intention_policy, server.acl.role_ttl) == ("deny", 5.0)
    assert configure("server = true leave_on_terminate = true").leave_on_terminate
    alone = configure("server = true bootstrap_expect = 1")
    assert (alone.bootstrap, alone.bootstrap_expect) == (True, 0)


def test_tls_blocks_take_what_they_do_not_say_from_defaults(configure: Any) -> None:
    """G15."""
    tls = configure(
        'tls { defaults { ca_file = "ca" cert_file = "c" key_file = "k" verify_incoming = true '
        'tls_min_version = "tls13" }\n'
        'https { verify_incoming = false ca_file = "other" }\n internal_rpc { verify_server_hostname = true } }'
    ).tls
    assert (tls.https.ca_file, tls.https.cert_file, tls.https.verify_incoming) == ("other", "c", False)
    assert (tls.grpc.ca_file, tls.grpc.verify_incoming) == ("ca", True)
    assert tls.internal_rpc.tls_min_version == "TLSv1_3"
    assert tls.internal_rpc.verify_outgoing
    assert not tls.https.verify_outgoing


def test_dev_is_a_server_in_memory(configure: Any) -> None:
    """G8."""
    config = configure.loaded(dev=True).config
    assert config.dev_mode
    assert (config.server, config.bootstrap, config.data_dir, config.log_level) == (True, True, "", "DEBUG")
    assert (config.ui_config.enabled, config.ports.grpc, config.performance.raft_multiplier) == (True, 8502, 1)
    assert config.gossip_lan.probe_interval == 0.1
    assert config.network.advertise_addr == "127.0.0.1"
    assert configure.loaded('log_level = "INFO"', dev=True).config.log_level == "INFO"


@pytest.mark.parametrize(
    ("text", "host", "bind", "lan", "wan"),
    [  # G3, G11
        ("", on(), "127.0.0.1", "127.0.0.1", "127.0.0.1"),
        (ALL, on(LO, ETH0), "0.0.0.0", "10.1.2.3", "10.1.2.3"),
        (ALL, on(LO, DOCKER, ETH0), "0.0.0.0", "10.1.2.3", "10.1.2.3"),
        ('bind_addr = "::"', on(LO, ETH0, SIX), "::", "2600::5", "2600::5"),
        ('bind_addr = "[::]"', on(LO, ETH0, SIX), "::", "2600::5", "2600::5"),
        (ALL + ' advertise_addr = "1.2.3.4"', on(), "0.0.0.0", "1.2.3.4", "1.2.3.4"),
        (ALL + ' advertise_addr = "1.2.3.4" advertise_addr_wan = "5.6.7.8"', on(), "0.0.0.0", "1.2.3.4", "5.6.7.8"),
        (ALL + ' advertise_addr_ipv4 = "1.2.3.4"', on(), "0.0.0.0", "1.2.3.4", "1.2.3.4"),
        ('bind_addr = "{{ GetInterfaceIP \\"eth0\\" }}"', on(LO, ETH0), "10.1.2.3", "10.1.2.3", "10.1.2.3"),
    ],
)
def test_which_address_is_bound_and_which_told(
    configure: Any, text: str, host: Host, bind: str, lan: str, wan: str
) -> None:
    network = configure(text, host=host).network
    assert (network.bind_addr, network.advertise_addr, network.advertise_addr_wan) == (bind, lan, wan)


def test_of_several_private_addresses_the_routed_one_is_told_with_a_warning(configure: Any) -> None:
    (warning,) = configure.warnings(ALL, host=on(DOCKER, ETH0))
    assert "taking 10.1.2.3 of eth0, which has the default route; there are also 172.17.0.1" in warning


@pytest.mark.parametrize(
    ("text", "host", "problem"),
    [
        (ALL, on(LO), "No private IPv4 address found. Please configure one with 'bind_addr' and/or 'advertise_addr'."),
        (ALL, on(DOCKER, Interface("eth1", "10.0.0.1", 24)), "Multiple private IPv4 addresses found (10.0.0.1 172"),
        ('bind_addr = "::"', on(ETH0), "No public IPv6 address found."),
        ('advertise_addr = "0.0.0.0"', on(), "advertise_addr cannot be 0.0.0.0, :: or [::]"),
        ('bind_addr = "1.1.1.1 2.2.2.2"', on(), "bind_addr cannot contain multiple addresses"),
        ('bind_addr = "unix:///x"', on(), "bind_addr cannot be a unix socket"),
        ('bind_addr = "localhost"', on(), "bind_addr: invalid ip address: localhost"),
        ('bind_addr = "{{ GetPrivateIP }}"', on(LO), "bind_addr: the template '{{ GetPrivateIP }}' finds no address"),
        ('client_addr = "{{ Nope }}"', on(), 'function "Nope" not defined'),
        ('retry_join = ["{{ Nope }}"]', on(), 'retry_join: unable to parse address template'),
    ],
)  # fmt: skip
def test_addresses_that_cannot_work_are_named_with_their_line(
    configure: Any, text: str, host: Host, problem: str
) -> None:
    problems = configure.problems(text, host=host)
    assert problems[0].startswith("b.hcl:1:1: ")
    assert problem in problems[0]


def test_an_empty_bind_address_is_refused(configure: Any) -> None:
    assert configure.problems('bind_addr = ""') == ["b.hcl:1:1: bind_addr cannot be empty"]


def test_where_clients_are_answered(configure: Any) -> None:
    """G3, G12: several addresses, own ones by protocol, sockets, and -1 switches off."""
    network = configure(
        'client_addr = "127.0.0.1 {{ GetPrivateIP }} ::1" ports { http = 80 https = 443 dns = -1 }\n'
        'addresses { https = "10.9.9.9" http = "unix:///run/a.sock 127.0.0.1" }',
        host=on(LO, ETH0),
    ).network
    assert network.client_addrs == ("127.0.0.1", "10.1.2.3", "::1")
    assert [str(place) for place in network.http] == ["127.0.0.1:80", "unix:///run/a.sock"]
    assert [str(place) for place in network.https] == ["10.9.9.9:443"]
    assert network.dns == ()
    six = configure('client_addr = "[::1]"').network
    assert [str(place) for place in six.http] == ["[::1]:8500"]


def test_servers_have_places_clients_have_not(configure: Any) -> None:
    client, server = configure("").network, configure('server = true serf_lan = "127.0.0.2"').network
    assert (client.server, client.serf_wan) == (None, None)
    assert (str(server.server), str(server.serf_wan)) == ("127.0.0.1:8300", "127.0.0.1:8302")
    assert str(server.serf_lan) == "127.0.0.2:8301"
    assert configure("server = true ports { serf_wan = -1 }").network.serf_wan is None


def test_addresses_are_tagged_by_network_and_family(configure: Any) -> None:
    """O1."""
    network = configure(
        'advertise_addr_wan = "2600::1" advertise_addr_ipv6 = "fd00::1" tagged_addresses { x = "y" }'
    ).network
    assert dict(network.tagged_addresses) == {
        "lan": "fd00::1",
        "lan_ipv6": "fd00::1",
        "wan": "2600::1",
        "wan_ipv6": "2600::1",
        "x": "y",
    }
    assert dict(configure("").network.tagged_addresses) == {
        "lan": "127.0.0.1",
        "lan_ipv4": "127.0.0.1",
        "wan": "127.0.0.1",
        "wan_ipv4": "127.0.0.1",
    }


def test_joins_take_templates_and_leave_providers_alone(configure: Any) -> None:
    """G13."""
    config = configure('retry_join = ["{{ GetPrivateIPs }}", "provider=aws tag_key=a"]', host=on(LO, ETH0, DOCKER))
    assert config.retry_join == ("10.1.2.3", "172.17.0.1", "provider=aws tag_key=a")

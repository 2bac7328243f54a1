"""The rules as text: what is redirected, what is left alone, in words that nft knows."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.connect.redirect import TABLE, Redirection, network, port_number, ports, removal, rules
from meshagent.errors import BadRequest

PORT = st.integers(1, 65535)
RANGES = st.lists(st.tuples(PORT, PORT).map(lambda pair: (min(pair), max(pair)))).map(tuple)
NETWORKS = st.lists(st.ip_addresses().map(lambda one: ipaddress.ip_network(f"{one}/20", strict=False))).map(tuple)
WANTED = st.builds(
    Redirection,
    uids=st.lists(st.integers(0, 2**32 - 2), min_size=1).map(tuple),
    inbound_port=PORT, outbound_port=PORT, inbound_ports=RANGES, outbound_ports=RANGES, networks=NETWORKS,
    dns_ip=st.sampled_from(["", "127.0.0.1", "fd00::1"]), dns_port=st.integers(0, 65535),
)  # fmt: skip


def named(name: str) -> int:
    return {"ssh": 22}.get(name, 0)


def test_the_rules_of_a_plain_redirection() -> None:
    assert rules(Redirection(uids=(1234,), inbound_port=20000)) == (
        "table inet meshagent_redirect\n"
        "delete table inet meshagent_redirect\n"
        "table inet meshagent_redirect {\n"
        "\tchain output {\n"
        "\t\ttype nat hook output priority -100; policy accept;\n"
        "\t\tmeta skuid { 1234 } return\n"
        "\t\tip daddr { 127.0.0.0/8 } return\n"
        "\t\tip6 daddr { ::1/128 } return\n"
        "\t\tmeta l4proto tcp redirect to :15001\n"
        "\t}\n"
        "\tchain prerouting {\n"
        "\t\ttype nat hook prerouting priority -100; policy accept;\n"
        "\t\tmeta l4proto tcp redirect to :20000\n"
        "\t}\n"
        "}\n"
    )


def test_what_is_excluded_comes_before_what_is_redirected() -> None:
    text = rules(
        Redirection(
            uids=(7, 3, 7), inbound_port=21000, outbound_port=15005,
            inbound_ports=((9000, 9000), (22, 22)), outbound_ports=((25, 30), (31, 40), (443, 443)),
            networks=(ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("10.1.0.0/16"),
                      ipaddress.ip_network("fd00::/8")),
            dns_port=8600,
        )
    )  # fmt: skip
    lines = [line.strip() for line in text.splitlines()]
    output = lines[lines.index("chain output {") : lines.index("chain prerouting {")]
    assert output[2:-1] == [
        "meta skuid { 3, 7 } return",
        "meta l4proto { tcp, udp } th dport 53 dnat ip to 127.0.0.1:8600",
        "tcp dport { 25-40, 443 } return",
        "ip daddr { 10.0.0.0/8, 127.0.0.0/8 } return",
        "ip6 daddr { ::1/128, fd00::/8 } return",
        "meta l4proto tcp redirect to :15005",
    ]
    assert lines[-4:-2] == ["tcp dport { 22, 9000 } return", "meta l4proto tcp redirect to :21000"]


@pytest.mark.parametrize(
    ("ip", "port", "where"),
    [("10.0.0.9", 0, "ip to 10.0.0.9:53"), ("", 8600, "ip to 127.0.0.1:8600"), ("fd00::9", 1, "ip6 to [fd00::9]:1")],
)
def test_names_are_looked_up_at_the_agent(ip: str, port: int, where: str) -> None:
    text = rules(Redirection(uids=(1,), inbound_port=1, dns_ip=ip, dns_port=port))
    assert f"th dport 53 dnat {where}\n" in text


def test_a_port_is_a_number_a_range_or_a_name() -> None:
    assert ports("-x", "8080", named) == (8080, 8080)
    assert ports("-x", "8080:9000", named) == (8080, 9000)
    assert ports("-x", "ssh", named) == (22, 22)


@pytest.mark.parametrize("text", ["", "0", "65536", "-1", "1;drop", "nosuch", "9:1", "1:", ":1", "٣", "22\n", "{ 1 }"])
def test_what_is_no_port_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadRequest, match=r"^-exclude-inbound-port: "):
        ports("-exclude-inbound-port", text, named)


@pytest.mark.parametrize("text", ["", "10.0.0.0/33", "localhost", "10.0.0.1 return", "::1/129"])
def test_what_is_no_network_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadRequest, match=r"^-exclude-outbound-cidr: "):
        network("-exclude-outbound-cidr", text)


def test_a_network_may_be_an_address_or_have_host_bits() -> None:
    assert str(network("-x", "10.0.0.7/8")) == "10.0.0.0/8"
    assert str(network("-x", "10.0.0.7")) == "10.0.0.7/32"


@given(st.text())
def test_any_text_is_a_port_or_refused(text: str) -> None:
    for read in (lambda: port_number("f", text), lambda: ports("f", text, named), lambda: network("f", text)):
        try:
            read()
        except BadRequest as error:
            assert str(error).startswith("f: ")


@given(WANTED)
def test_whatever_is_wanted_is_words_that_nft_knows(wanted: Any) -> None:
    text = rules(wanted)
    assert text.count(TABLE) == 3
    for line in text.splitlines():
        assert re.fullmatch(r"[\t a-z0-9_{},.:;\[\]/-]*", line), line


def test_a_removal_works_where_there_is_nothing() -> None:
    assert removal() == "table inet meshagent_redirect\ndelete table inet meshagent_redirect\n"

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.sockaddr import Interface, evaluate
from meshagent.errors import ConfigError

HOST = [
    Interface("lo", "127.0.0.1", 8, frozenset({"up", "loopback"})),
    Interface("lo", "::1", 128, frozenset({"up", "loopback"})),
    Interface("eth0", "10.1.2.3", 16, frozenset({"up", "broadcast"}), default_route=True),
    Interface("eth0", "fe80::1", 64, frozenset({"up"}), default_route=True),
    Interface("eth1", "192.168.7.9", 24, frozenset({"up"})),
    Interface("eth2", "172.16.0.1", 24, frozenset()),
    Interface("ppp0", "8.8.4.4", 32, frozenset({"up", "pointtopoint"})),
    Interface("ppp0", "2600::5", 64, frozenset({"up"})),
    Interface("wg0", "fd00::7", 64, frozenset({"up"})),
]


@pytest.mark.parametrize(
    ("template", "text"),
    [  # surface row G3
        ("10.0.0.1", "10.0.0.1"),
        ("{{ GetPrivateIP }}", "192.168.7.9"),
        ("{{GetPrivateIPs}}", "192.168.7.9 10.1.2.3 fd00::7"),
        ("{{ GetPublicIP }}", "8.8.4.4"),
        ("{{ GetPublicIPs }}", "8.8.4.4 2600::5"),
        ('{{ GetInterfaceIP "eth0" }}', "10.1.2.3"),
        ('{{ GetInterfaceIPs "ppp0" }}', "8.8.4.4 2600::5"),
        ('{{ GetInterfaceIP "none" }}', ""),
        ('{{ GetPrivateInterfaces | include "network" "10.0.0.0/8" | attr "address" }}', "10.1.2.3"),
        ('{{ GetPrivateInterfaces | exclude "type" "ipv6" | join "address" " " }}', "192.168.7.9 10.1.2.3"),
        ('{{ GetPublicInterfaces | include "type" "IPv6" | attr "name" }}', "ppp0"),
        ('{{ GetDefaultInterfaces | include "rfc" "1918" | attr "string" }}', "10.1.2.3/16"),
        ('{{ GetAllInterfaces | include "flags" "up|loopback" | join "address" "," }}', "127.0.0.1,::1"),
        ('{{ GetAllInterfaces | include "name" "^eth" | sort "-address" | limit 1 | attr "network" }}', "fe80::/64"),
        ('{{ GetAllInterfaces | unique "name" | offset 1 | join "name" " " }}', "eth0 eth1 eth2 ppp0 wg0"),
        ('{{ GetAllInterfaces | include "address" "^10" | math "address" "+1" | attr "address" }}', "10.1.2.4"),
        ('{{ GetAllInterfaces | include "name" "eth1" | math "network" "-5" | attr "address" }}', "192.168.7.250"),
        ('{{ GetAllInterfaces | include "name" "eth1" | math "mask" "16" | attr "string" }}', "192.168.0.0/16"),
        ('{{ GetAllInterfaces | include "size" "24" | sort "default,-name" | join "name" " " }}', "eth2 eth1"),
        ('{{ GetPrivateInterfaces | attr `broadcast` }}', "192.168.7.255"),
        ('{{ GetDefaultInterfaces }}', "10.1.2.3/16 fe80::1/64"),
        ('{{ GetAllInterfaces | exclude "flags" "forwardable" | limit 0 | attr "address" }}', ""),
        ("{{ GetPrivateIP }} {{ GetPublicIP }}", "192.168.7.9 8.8.4.4"),
        ("  {{- GetPrivateIP -}}  :8300", "192.168.7.9:8300"),
    ],
)  # fmt: skip
def test_a_template_finds_addresses(template: str, text: str) -> None:
    assert evaluate(template, lambda: HOST) == text


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{{ GetPrivateIp }}", 'function "GetPrivateIp" not defined; known here: GetAllInterfaces'),
        ("{{ range x }}", 'function "range" not defined'),
        ("{{ GetPrivateIP | attr `name` }}", '"attr" needs a list of interfaces before it'),
        ("{{ GetInterfaceIP }}", '"GetInterfaceIP" takes 1 arguments, not 0'),
        ('{{ GetAllInterfaces | include "x" "y" }}', 'unknown selector "x"; known: address'),
        ('{{ GetAllInterfaces | include "rfc" "1" }}', 'unknown RFC "1"'),
        ('{{ GetAllInterfaces | sort "x" }}', 'unknown sort key "x"'),
        ('{{ GetAllInterfaces | attr "x" }}', 'unknown attribute "x"'),
        ('{{ GetAllInterfaces | math "x" "1" }}', 'math knows "address", "network" and "mask"'),
        ('{{ GetAllInterfaces | include "network" "x" }}', "does not appear to be an IPv4 or IPv6 network"),
        ("{{ GetPrivateIP | }}", "missing value for command"),
        ("{{ GetPrivateIP", "is not closed"),
        ("{{ $x }}", "cannot read '$x'"),
    ],
)
def test_a_bad_template_is_named(template: str, problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        evaluate(template, lambda: HOST)
    assert problem in str(error.value)
    assert repr(template) in str(error.value)


def test_the_host_is_looked_at_only_when_asked() -> None:
    def never() -> list[Interface]:
        raise AssertionError("asked")

    assert evaluate(" 127.0.0.1 ", never) == "127.0.0.1"


words = st.sampled_from(
    [
        "GetAllInterfaces",
        "GetPrivateIP",
        "|",
        "include",
        "sort",
        "attr",
        "join",
        "limit",
        "math",
        '"size"',
        '"type"',
        "3",
    ]
)


@given(st.text().map(lambda text: "{{" + text) | st.lists(words).map(lambda words: "{{ " + " ".join(words) + " }}"))
def test_any_template_gives_text_or_a_config_error(template: str) -> None:
    try:
        assert isinstance(evaluate(template, lambda: HOST), str)
    except ConfigError as error:
        assert "address template" in str(error)

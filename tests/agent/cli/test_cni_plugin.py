"""The CNI plugin: rules for the namespace that it is asked about, and nothing where it has nothing to do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from meshagent.agent.cli.cni_plugin import answer
from meshagent.connect.redirect import rules
from meshagent.connect.redirect_config import redirection_of
from meshagent.errors import Unavailable

CONFIG = json.dumps({"cniVersion": "1.0.0", "name": "nomad", "type": "consul-cni"}).encode()
WANTED = '{"ProxyUserID": "101", "ProxyInboundPort": 25000}'
ENVIRON = {"CNI_COMMAND": "ADD", "CNI_NETNS": "/var/run/netns/x", "CNI_ARGS": f"CONSUL_IPTABLES_CONFIG={WANTED}"}


class Applied(list[tuple[str, str]]):
    """What was applied."""

    def __call__(self, script: str, netns: str) -> None:
        self.append((script, netns))


def test_n11_an_allocation_is_redirected() -> None:
    applied = Applied()
    told, status = answer(ENVIRON, CONFIG, applied)
    assert (json.loads(told), status) == ({"cniVersion": "1.0.0"}, 0)
    assert applied == [(rules(redirection_of(WANTED)), "/var/run/netns/x")]


@pytest.mark.parametrize("command", ["DEL", "CHECK", "GC", "STATUS"])
def test_what_else_is_asked_needs_nothing(command: str) -> None:
    applied = Applied()
    assert answer({**ENVIRON, "CNI_COMMAND": command}, CONFIG, applied) == (b"", 0)
    assert applied == []


def test_the_versions_are_told() -> None:
    told, status = answer({"CNI_COMMAND": "VERSION"}, b'{"cniVersion": "1.0.0"}', Applied())
    assert (json.loads(told)["supportedVersions"][-1], status) == ("1.1.0", 0)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ("", "CNI_ARGS has no CONSUL_IPTABLES_CONFIG"),
        ("K8S_POD_NAME=web;K8S_POD_NAMESPACE=default", "the plugin of consul-k8s"),
        ("CONSUL_IPTABLES_CONFIG={}", "ProxyUserID is required"),
    ],
)
def test_without_a_redirection_it_is_said_and_nothing_applied(args: str, words: str) -> None:
    applied = Applied()
    told, status = answer({**ENVIRON, "CNI_ARGS": args}, CONFIG, applied)
    assert status == 1
    assert words in json.loads(told)["msg"]
    assert applied == []


def test_what_does_not_work_is_said() -> None:
    def broken(*_: Any) -> None:
        raise Unavailable("nft is not installed (package nftables)")

    told, status = answer(ENVIRON, CONFIG, broken)
    assert (json.loads(told), status) == (
        {"cniVersion": "1.0.0", "code": 100, "msg": "nft is not installed (package nftables)"},
        1,
    )

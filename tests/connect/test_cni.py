"""The protocol of CNI plugins: commands, arguments, versions, results that are handed on, errors with codes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.connect.cni import VERSIONS, CniError, asked_of, refused, result_of, versions
from meshagent.errors import BadRequest

CONFIG = {"cniVersion": "1.0.0", "name": "nomad", "type": "consul-cni"}
ENVIRON = {"CNI_COMMAND": "ADD", "CNI_NETNS": "/var/run/netns/x", "CNI_IFNAME": "eth0"}


def ask(config: dict[str, Any] | None = None, **environ: str) -> Any:
    return asked_of({**ENVIRON, **environ}, json.dumps(CONFIG | (config or {})).encode())


def test_what_is_asked() -> None:
    asked = ask(CNI_ARGS='IgnoreUnknown=true;CONSUL_IPTABLES_CONFIG={"A": "b=c"}')
    assert (asked.command, asked.netns, asked.version) == ("ADD", "/var/run/netns/x", "1.0.0")
    assert asked.args == {"IgnoreUnknown": "true", "CONSUL_IPTABLES_CONFIG": '{"A": "b=c"}'}


def test_what_the_plugins_before_made_is_handed_on() -> None:
    before = {"cniVersion": "0.4.0", "ips": [{"address": "10.0.0.2/24"}], "routes": [{"dst": "0.0.0.0/0"}]}
    assert json.loads(result_of(ask({"prevResult": before}))) == {**before, "cniVersion": "1.0.0"}
    assert json.loads(result_of(ask())) == {"cniVersion": "1.0.0"}
    for broken in ({"ips": []}, []):
        with pytest.raises(CniError) as error:
            result_of(ask({"prevResult": broken}))
        assert error.value.code == 7


def test_the_versions() -> None:
    assert json.loads(versions(ask({"cniVersion": "9.9"}, CNI_COMMAND="VERSION"))) == {
        "cniVersion": "9.9", "supportedVersions": list(VERSIONS),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("environ", "config", "code"),
    [
        ({"CNI_COMMAND": ""}, {}, 4),
        ({"CNI_COMMAND": "DANCE"}, {}, 4),
        ({"CNI_NETNS": ""}, {}, 4),
        ({"CNI_ARGS": "x"}, {}, 4),
        ({}, {"cniVersion": "0.1.0"}, 1),
    ],
)
def test_what_is_wrong_has_a_code(environ: dict[str, str], config: dict[str, Any], code: int) -> None:
    with pytest.raises(CniError) as error:
        ask(config, **environ)
    assert error.value.code == code
    assert json.loads(refused(error.value, "1.0.0"))["code"] == code
    assert json.loads(refused(BadRequest("x"))) == {"cniVersion": "0.3.0", "code": 100, "msg": "x"}


@given(stdin=st.binary(max_size=60), args=st.text(max_size=30))
def test_any_input_is_read_or_refused(stdin: bytes, args: str) -> None:
    try:
        asked_of({**ENVIRON, "CNI_ARGS": args}, stdin)
    except CniError as error:
        assert error.code in {1, 4, 6}


def test_a_configuration_has_a_bound() -> None:
    with pytest.raises(CniError, match="bytes"):
        asked_of(ENVIRON, b" " * (1024 * 1024 + 1))

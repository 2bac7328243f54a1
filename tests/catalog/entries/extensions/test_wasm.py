"""Arguments of `builtin/wasm`."""

from __future__ import annotations

from typing import Any

import pytest

from meshagent.catalog.entries.extensions.arguments import read
from meshagent.catalog.entries.extensions.wasm import Wasm

LOCAL = {"Local": {"Filename": "/plugin.wasm"}}
REMOTE = {"HttpURI": {"Service": {"Name": "files"}, "URI": "https://files/plugin.wasm"}, "SHA256": "a" * 64}


def problems(vm: dict[str, Any], **more: Any) -> list[str]:
    given = {"Protocol": "http", "ListenerType": "inbound", "PluginConfig": {"VmConfig": vm}, **more}
    return read(given, Wasm).problems()


def test_code_of_a_file_or_of_a_service() -> None:
    assert problems({"Code": LOCAL, "Runtime": "wamr"}) == []
    assert problems({"Code": {"Remote": REMOTE}}) == []


@pytest.mark.parametrize(
    ("vm", "more", "found"),
    [
        ({}, {}, "VmConfig.Code must provide exactly one of Local or Remote data source"),
        ({"Code": LOCAL | {"Remote": REMOTE}}, {}, "VmConfig.Code must provide exactly one of Local or Remote"),
        ({"Code": {"Remote": REMOTE | {"SHA256": ""}}}, {}, "PluginConfig.VmConfig.Code.Remote.SHA256 checksum is req"),
        (
            {"Code": {"Remote": REMOTE | {"SHA256": "x"}}},
            {},
            "PluginConfig.VmConfig.Code.Remote.SHA256 must be 64 hexa",
        ),
        ({"Code": {"Remote": {"SHA256": "a" * 64}}}, {}, "PluginConfig.VmConfig.Code.Remote.HttpURI.URI is required"),
        ({"Code": LOCAL, "Runtime": "jvm"}, {}, 'unexpected VmConfig.Runtime "jvm"'),
        ({"Code": LOCAL}, {"Protocol": "udp"}, 'unexpected Protocol "udp"'),
        ({"Code": LOCAL}, {"ListenerType": ""}, 'unexpected ListenerType ""'),
        (
            {"Code": LOCAL, "EnvironmentVariables": {"HostEnvKeys": ["A"], "KeyValues": {"A": "1"}}},
            {},
            "EnvironmentVariables: A is in HostEnvKeys and in KeyValues",
        ),
    ],
)
def test_what_is_wrong(vm: dict[str, Any], more: dict[str, Any], found: str) -> None:
    [problem] = problems(vm, **more)
    assert problem.startswith(found)

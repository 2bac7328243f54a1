"""`builtin/wasm`."""

from __future__ import annotations

from typing import Any

from meshtest.extending import extended, filters_of, http_filters_of, sidecar, the_manager

from meshagent.catalog.model import EnvoyExtension
from meshagent.connect.envoy.render import render

FILE = {"Local": {"Filename": "/plugin.wasm"}}


def arguments(code: dict[str, Any], protocol: str = "http", **more: Any) -> dict[str, Any]:
    vm = {"VmID": "one", "Code": code, "Configuration": "vm", "EnvironmentVariables": {"KeyValues": {"A": "1"}}}
    plugin = {
        "Name": "mine",
        "RootID": "root",
        "VmConfig": vm,
        "Configuration": "plugin",
        "CapabilityRestrictionConfiguration": {"AllowedCapabilities": {"fd_read": {}}},
    }
    return {"Protocol": protocol, "ListenerType": "inbound", "PluginConfig": plugin, **more}


def test_a_plugin_for_requests() -> None:
    found = extended("builtin/wasm", arguments(FILE))
    assert http_filters_of(found, "public_listener")[-2:] == ["wasm", "router"]
    made = the_manager(found, "public_listener")["http_filters"][-2]["typed_config"]["config"]
    text = "type.googleapis.com/google.protobuf.StringValue"
    assert made == {
        "name": "mine",
        "root_id": "root",
        "configuration": {"@type": text, "value": "plugin"},
        "capability_restriction_config": {"allowed_capabilities": {"fd_read": {}}},
        "failure_policy": "FAIL_OPEN",
        "vm_config": {
            "vm_id": "one",
            "runtime": "envoy.wasm.runtime.v8",
            "code": {"local": {"filename": "/plugin.wasm"}},
            "configuration": {"@type": text, "value": "vm"},
            "environment_variables": {"host_env_keys": [], "key_values": {"A": "1"}},
        },
    }


def test_a_required_one_lets_nothing_pass_without_it() -> None:
    made = the_manager(extended("builtin/wasm", arguments(FILE), required=True), "public_listener")
    assert "failure_policy" not in made["http_filters"][-2]["typed_config"]["config"]


def test_older_envoys_have_another_word_for_it() -> None:
    found = render(sidecar(EnvoyExtension(name="builtin/wasm", arguments=arguments(FILE))), "1.31.2")
    assert the_manager(found, "public_listener")["http_filters"][-2]["typed_config"]["config"]["fail_open"] is True


def test_code_of_a_service_of_the_mesh() -> None:
    uri = {"Service": {"Name": "api"}, "URI": "https://api/plugin.wasm", "Timeout": "5s"}
    remote = {"HttpURI": uri, "SHA256": "a" * 64, "RetryPolicy": {"NumRetries": 2}}
    found = extended("builtin/wasm", arguments({"Remote": remote}))
    made = the_manager(found, "public_listener")["http_filters"][-2]["typed_config"]["config"]
    code = made["vm_config"]["code"]["remote"]
    assert code["http_uri"]["cluster"].startswith("api.default.dc1.")
    assert code["retry_policy"]["num_retries"] == 2
    here = {"HttpURI": {"URI": "http://localhost:8000/plugin.wasm"}, "SHA256": "a" * 64}
    assert "local_wasm" in extended("builtin/wasm", arguments({"Remote": here})).clusters


def test_it_is_for_one_protocol() -> None:
    assert extended("builtin/wasm", arguments(FILE), protocol="tcp") == render(sidecar(protocol="tcp"))
    found = extended("builtin/wasm", arguments(FILE, "tcp"), protocol="tcp")
    assert filters_of(found, "public_listener")[-2]["name"] == "envoy.filters.network.wasm"

"""`builtin/wasm` at work: a plug-in for requests, or for connections.

Source: surface row M83; envoyproxy.io "Wasm" (`PluginConfig`, `VmConfig`). What may change here: nothing.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from meshagent.catalog.entries.extensions.wasm import Code, PluginConfig, Remote, VmConfig, Wasm
from meshagent.connect.envoy.extensions import targets
from meshagent.connect.envoy.extensions.context import Context
from meshagent.connect.envoy.extensions.insertion import before_last
from meshagent.connect.envoy.resources import Resource, typed

__all__ = ["patch"]

_MANAGER, _TCP = "envoy.filters.network.http_connection_manager", "envoy.filters.network.tcp_proxy"
_TEXT = "google.protobuf.StringValue"
#: The cluster of code on this host.
_LOCAL = "local_wasm"
#: From this Envoy on it is said by a policy whether traffic goes on without the plug-in.
_POLICY_SINCE = (1, 33)
_RUNTIMES = {"wastime": "wasmtime"}


def patch(arguments: Wasm, context: Context) -> None:
    """Raises BadRequest."""
    last = _MANAGER if arguments.protocol == "http" else _TCP
    for _, chain in context.chains(arguments.listener_type):
        filters = chain.get("filters", [])
        if not filters or filters[-1]["name"] != last:
            continue
        config = {"config": _plugin(arguments.plugin_config, context)}
        if last == _MANAGER:
            made = typed("envoy.extensions.filters.http.wasm.v3.Wasm", config)
            before_last(
                filters[-1]["typed_config"]["http_filters"], {"name": "envoy.filters.http.wasm", "typed_config": made}
            )
        else:
            made = typed("envoy.extensions.filters.network.wasm.v3.Wasm", config)
            before_last(filters, {"name": "envoy.filters.network.wasm", "typed_config": made})


def _plugin(plugin: PluginConfig, context: Context) -> Resource:
    made: Resource = {"vm_config": _vm(plugin.vm_config, context)}
    for name, text in (("name", plugin.name), ("root_id", plugin.root_id)):
        if text:
            made[name] = text
    if plugin.configuration:
        made["configuration"] = typed(_TEXT, {"value": plugin.configuration})
    allowed = plugin.capability_restriction_configuration.allowed_capabilities
    if allowed:
        made["capability_restriction_config"] = {"allowed_capabilities": {name: {} for name in allowed}}
    if not context.required:
        made |= {"failure_policy": "FAIL_OPEN"} if _has_policy(context.envoy_version) else {"fail_open": True}
    return made


def _has_policy(version: str) -> bool:
    parts = version.split(".")[:2]
    return not all(part.isdigit() for part in parts) or tuple(map(int, parts)) >= _POLICY_SINCE


def _vm(vm: VmConfig, context: Context) -> Resource:
    made: Resource = {
        "runtime": f"envoy.wasm.runtime.{_RUNTIMES.get(vm.runtime, vm.runtime)}",
        "code": _code(vm.code, context),
    }
    if vm.vm_id:
        made["vm_id"] = vm.vm_id
    if vm.configuration:
        made["configuration"] = typed(_TEXT, {"value": vm.configuration})
    environment = vm.environment_variables
    said = {"host_env_keys": list(environment.host_env_keys), "key_values": environment.key_values}
    if any(said.values()):
        made["environment_variables"] = said
    return made


def _code(code: Code, context: Context) -> Resource:
    if code.remote is not None:
        return {"remote": _remote(code.remote, context)}
    return {"local": {"filename": code.local.filename if code.local is not None else ""}}


def _remote(remote: Remote, context: Context) -> Resource:
    where = remote.http_uri
    wait = targets.timeout(where.timeout)
    place = urlsplit(where.uri).netloc
    name = targets.cluster(context, where.service.name, place, wait, _LOCAL, http2=False)
    return {
        "http_uri": {"uri": where.uri, "cluster": name, "timeout": wait},
        "sha256": remote.sha256,
        "retry_policy": targets.retry_policy(remote.retry_policy),
    }

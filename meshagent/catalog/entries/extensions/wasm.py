"""`builtin/wasm`: a plug-in in WebAssembly.

Source: surface row M83; developer.hashicorp.com/consul/docs/connect/proxies/envoy-extensions/configuration/wasm. What
may change here: nothing that entries have.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from meshagent.catalog.entries.extensions.arguments import Arguments, duration_problem, one_of
from meshagent.catalog.entries.extensions.target import RetryPolicy, ServiceName

__all__ = ["Capabilities", "Code", "Environment", "HttpUri", "Local", "PluginConfig", "Remote", "VmConfig", "Wasm"]

RUNTIMES = ("v8", "wamr", "wasmtime", "wavm", "wastime", "null")


class Local(msgspec.Struct, frozen=True):
    """A file of the proxy's host."""

    filename: str = ""


class HttpUri(msgspec.Struct, frozen=True):
    """Where the code is: at an upstream, or at the proxy's own host."""

    service: ServiceName = ServiceName()
    uri: str = ""
    timeout: str = ""


class Remote(msgspec.Struct, frozen=True):
    """Code that Envoy fetches."""

    http_uri: HttpUri = HttpUri()
    sha256: str = ""
    retry_policy: RetryPolicy = RetryPolicy()

    def problems(self) -> list[str]:
        """What is wrong with it."""
        found = [] if self.http_uri.uri else ["PluginConfig.VmConfig.Code.Remote.HttpURI.URI is required"]
        if not self.sha256:
            found.append("PluginConfig.VmConfig.Code.Remote.SHA256 checksum is required")
        elif not re.fullmatch(r"[0-9a-fA-F]{64}", self.sha256):
            found.append("PluginConfig.VmConfig.Code.Remote.SHA256 must be 64 hexadecimal digits")
        return found + duration_problem("HttpURI.Timeout", self.http_uri.timeout) + self.retry_policy.problems()


class Code(msgspec.Struct, frozen=True):
    """One of both."""

    local: Local | None = None
    remote: Remote | None = None

    def problems(self) -> list[str]:
        """What is wrong with it."""
        local = self.local is not None and bool(self.local.filename)
        if local == (self.remote is not None):
            return ["VmConfig.Code must provide exactly one of Local or Remote data source"]
        return self.remote.problems() if self.remote is not None else []


class Environment(msgspec.Struct, frozen=True):
    """What the plug-in sees of an environment."""

    host_env_keys: tuple[str, ...] = ()
    key_values: dict[str, str] = {}

    def problems(self) -> list[str]:
        """What is wrong with it."""
        twice = sorted(set(self.host_env_keys) & set(self.key_values))
        return [f"EnvironmentVariables: {name} is in HostEnvKeys and in KeyValues" for name in twice]


class VmConfig(msgspec.Struct, frozen=True):
    """The machine that runs it."""

    vm_id: str = ""
    runtime: str = "v8"
    code: Code = Code()
    configuration: str = ""
    environment_variables: Environment = Environment()

    def problems(self) -> list[str]:
        """What is wrong with it."""
        found = one_of("VmConfig.Runtime", self.runtime, RUNTIMES)
        return found + self.code.problems() + self.environment_variables.problems()


class Capabilities(msgspec.Struct, frozen=True):
    """What the plug-in may call; empty is everything."""

    allowed_capabilities: dict[str, Any] = {}


class PluginConfig(msgspec.Struct, frozen=True):
    """The plug-in."""

    name: str = ""
    root_id: str = ""
    vm_config: VmConfig = VmConfig()
    configuration: str = ""
    capability_restriction_configuration: Capabilities = Capabilities()


class Wasm(Arguments, frozen=True, kw_only=True):
    """It is for services of one protocol: tcp or http."""

    protocol: str = ""
    listener_type: str = ""
    plugin_config: PluginConfig = PluginConfig()

    def problems(self, *, debug: bool = False) -> list[str]:
        found = self.proxy_type_problems()
        found += one_of("Protocol", self.protocol, ("tcp", "http"))
        found += one_of("ListenerType", self.listener_type, ("inbound", "outbound"))
        return found + self.plugin_config.vm_config.problems()

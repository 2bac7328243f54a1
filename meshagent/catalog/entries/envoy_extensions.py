"""Which Envoy extensions exist, and what their arguments must hold.

Source: surface section 7.7; developer.hashicorp.com/consul/docs/connect/proxies/envoy-extensions. What may change
here: a new extension is one row of `_CHECKS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from meshagent.catalog.entries.entry import multierror
from meshagent.catalog.model import EnvoyExtension

__all__ = ["extension_problems"]

_LISTENERS = frozenset({"inbound", "outbound"})
#: Fields of Envoy's clusters and listeners that are messages: property-override sets plain values only.
_MESSAGE_FIELDS = {
    "/connect_timeout": "google.protobuf.Duration",
    "/cleanup_interval": "google.protobuf.Duration",
    "/dns_refresh_rate": "google.protobuf.Duration",
    "/listener_filters_timeout": "google.protobuf.Duration",
    "/drain_timeout": "google.protobuf.Duration",
}


def _lua(arguments: dict[str, Any]) -> list[str]:
    problems = []
    if not arguments.get("Script"):
        problems.append("missing Script value")
    if arguments.get("ProxyType", "connect-proxy") not in {"", "connect-proxy", "api-gateway"}:
        problems.append(f'unexpected ProxyType "{arguments["ProxyType"]}"')
    listener = arguments.get("Listener", "")
    if listener not in _LISTENERS:
        problems.append(f'unexpected Listener "{listener}"')
    return problems


def _property_override(arguments: dict[str, Any]) -> list[str]:
    problems = []
    patches = arguments.get("Patches")
    if not isinstance(patches, list) or not patches:
        return ["at least one patch is required"]
    for at, patch in enumerate(patches):
        kind = _MESSAGE_FIELDS.get(patch.get("Path", "")) if isinstance(patch, dict) else None
        if kind and not isinstance(patch.get("Value"), dict):
            problems.append(f"invalid Patches[{at}]: unsupported target field type '{kind}'")
    return problems


def _any(_: dict[str, Any]) -> list[str]:
    return []


def _aws_lambda(arguments: dict[str, Any]) -> list[str]:
    return [] if arguments.get("ARN") else ["ARN is required"]


_CHECKS: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    "builtin/aws/lambda": _aws_lambda,
    "builtin/ext-authz": _any,
    "builtin/http/localratelimit": _any,
    "builtin/lua": _lua,
    "builtin/otel-access-logging": _any,
    "builtin/property-override": _property_override,
    "builtin/wasm": _any,
}


def extension_problems(extensions: tuple[EnvoyExtension, ...] | None) -> list[str]:
    """What is wrong with the extensions of an entry."""
    problems = []
    for at, extension in enumerate(extensions or ()):
        where = f"invalid EnvoyExtensions[{at}][{extension.name}]"
        check = _CHECKS.get(extension.name)
        if not extension.name:
            problems.append(f"invalid EnvoyExtensions[{at}]: Name is required")
        elif check is None:
            problems.append(f'{where}: name "{extension.name}" is not a built-in extension')
        else:
            found = check(extension.arguments or {})
            if found:
                problems.append(f"{where}: {multierror(found)}")
    return problems

"""Extensions: what `EnvoyExtensions` of entries change in the resources of an Envoy.

    Resources ──▶ those of proxy-defaults, then of service-defaults, in their order ──▶ Resources

An extension that cannot be applied is left out with a line in the log; one that is `Required` ends the whole update, so
that the Envoy keeps what it has.

Source: surface row M86; developer.hashicorp.com/consul/docs/connect/config-entries/service-defaults
(`EnvoyExtensions`). What may change here: nothing for a new extension (`table.py`).
"""

from __future__ import annotations

import logging

from meshagent import CONSUL_VERSION
from meshagent.catalog.entries.extensions import constraints
from meshagent.catalog.entries.extensions.arguments import BadArguments, read
from meshagent.catalog.entries.extensions.table import EXTENSIONS
from meshagent.catalog.model import EnvoyExtension
from meshagent.connect.envoy.extensions.context import Context
from meshagent.connect.envoy.extensions.table import OF_A_SERVICE, OF_THE_PROXY
from meshagent.connect.envoy.resources import Resources
from meshagent.connect.snapshot import ProxySnapshot
from meshagent.errors import BadRequest, MeshError

__all__ = ["ExtensionFailed", "apply"]

log = logging.getLogger("envoy.extensions")


class ExtensionFailed(MeshError):
    """A required extension cannot be applied: the update is not to be sent."""

    grpc_code = 9  # FAILED_PRECONDITION


def apply(resources: Resources, snapshot: ProxySnapshot, *, envoy_version: str = "") -> Resources:
    """The resources with all extensions in them; `envoy_version` is "" when it is not known.

    Raises:
        ExtensionFailed: one that is required cannot be applied.
    """
    for extension in snapshot.extensions:
        if extension.name in OF_THE_PROXY:
            resources = _applied(resources, snapshot, extension, "", envoy_version)
    for service, extensions in snapshot.service_extensions.items():
        for extension in extensions:
            if extension.name in OF_A_SERVICE:
                resources = _applied(resources, snapshot, extension, service, envoy_version)
    return resources


def _applied(
    resources: Resources, snapshot: ProxySnapshot, extension: EnvoyExtension, service: str, envoy_version: str
) -> Resources:
    """With one extension; without it where it is left out."""
    try:
        _check_versions(extension, envoy_version)
        arguments = read(extension.arguments, EXTENSIONS[extension.name])
        if problems := arguments.problems():
            raise BadRequest("; ".join(problems))
        if not service and (arguments.proxy_type or "connect-proxy") != snapshot.kind:
            return resources
        context = Context.over(snapshot, resources, required=extension.required, envoy_version=envoy_version)
        if service:
            OF_A_SERVICE[extension.name](arguments, context, service)
        else:
            OF_THE_PROXY[extension.name](arguments, context)
    except (BadArguments, BadRequest) as error:
        if extension.required:
            raise ExtensionFailed(f"required extension {extension.name} of {snapshot.proxy_id}: {error}") from None
        log.warning("extension left out: proxy=%s extension=%s error=%s", snapshot.proxy_id, extension.name, error)
        return resources
    return context.resources


def _check_versions(extension: EnvoyExtension, envoy_version: str) -> None:
    for what, constraint, version in (
        ("Consul", extension.consul_version, CONSUL_VERSION),
        ("Envoy", extension.envoy_version, envoy_version),
    ):
        if not constraints.matches(constraint, version):
            raise BadRequest(f"it is for {what} {constraint}, this is {version}")

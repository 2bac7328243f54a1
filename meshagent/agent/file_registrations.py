"""Services and checks of configuration files, put into local state at the start and again on every reload.

Source: surface rows G4, G24. Pure. What a file no longer names is deregistered; what it still names is registered
again and keeps its checks' last results; what the API registered stays, unless a file now claims the id.
"""

from __future__ import annotations

from collections.abc import Sequence

from meshagent.agent.definitions import CheckDefinition, ServiceDefinition
from meshagent.agent.local import LocalState
from meshagent.errors import MeshError

__all__ = ["apply_files"]


def apply_files(
    local: LocalState, services: Sequence[ServiceDefinition], checks: Sequence[CheckDefinition], token: str = ""
) -> list[str]:
    """Make the registrations of `local` that come from files be exactly these; what could not be registered, and why.

    `token` is used by registrations that bring none of their own. Registering again makes a new entry, so an entry
    from a file that is still the old object afterwards is one that no file names any more.
    """
    old_services = {key: entry for key, entry in local.services.items() if entry.source == "config"}
    old_checks = {key: entry for key, entry in local.checks.items() if entry.source == "config"}
    problems: list[str] = []
    for service in services:
        try:
            local.add_service(service, token=token, source="config")
        except MeshError as error:
            problems.append(f"service {service.id or service.name!r} is not registered: {error}")
    for check in checks:
        try:
            local.add_check(check, token=token, source="config")
        except MeshError as error:
            problems.append(f"check {check.id or check.name!r} is not registered: {error}")
    for service_id, entry in old_services.items():
        if local.services.get(service_id) is entry:
            local.remove_service(service_id)
    for check_id, old in old_checks.items():
        if local.checks.get(check_id) is old:
            local.remove_check(check_id)
    return problems

"""Maintenance mode: a critical check that says so, on one service or on the whole node.

Source: surface rows A12, A13, O7. Nothing runs such a check, it is simply there; it is saved like any other, so that it
survives a restart, and registering its service again leaves it. The ids, names and default notes are known to tools.
"""

from __future__ import annotations

from meshagent.agent.local import LocalState
from meshagent.catalog.model import Check
from meshagent.errors import NotFound

__all__ = ["NODE_MAINTENANCE", "SERVICE_MAINTENANCE", "node_maintenance", "service_maintenance"]

NODE_MAINTENANCE = "_node_maintenance"
#: Followed by the id of the service.
SERVICE_MAINTENANCE = "_service_maintenance:"

_DEFAULT_REASON = "Maintenance mode is enabled for this {}, but no reason was provided. This is a default message."


def service_maintenance(local: LocalState, service_id: str, *, enable: bool, reason: str = "", token: str = "") -> None:
    """Put a service into maintenance, or back into work; nothing happens if it is there already.

    Raises:
        NotFound: no such service.
    """
    if service_id not in local.services:
        raise NotFound(
            f'Unknown service ID "{service_id}". Ensure that the service ID is passed, not the service name.'
        )
    check = Check(
        check_id=SERVICE_MAINTENANCE + service_id,
        name="Service Maintenance Mode",
        notes=reason or _DEFAULT_REASON.format("service"),
        service_id=service_id,
        type="maintenance",
    )
    _switch(local, check, enable, token)


def node_maintenance(local: LocalState, *, enable: bool, reason: str = "", token: str = "") -> None:
    """Put this node into maintenance, or back into work; nothing happens if it is there already."""
    check = Check(
        check_id=NODE_MAINTENANCE,
        name="Node Maintenance Mode",
        notes=reason or _DEFAULT_REASON.format("node"),
        type="maintenance",
    )
    _switch(local, check, enable, token)


def _switch(local: LocalState, check: Check, enable: bool, token: str) -> None:
    on = check.check_id in local.checks
    if enable and not on:
        local.put_check(check, token=token)
    elif on and not enable:
        local.remove_check(check.check_id)

"""I/O edge: when a sidecar is ready: its public port and those of its upstreams take connections.

Source: our own; Kubernetes' "hold the application until the proxy starts". What may change here: what else is looked
at.
"""

from __future__ import annotations

import contextlib
import socket
from typing import Any

from meshagent.agent.cli.client import ApiError, Client
from meshagent.clock import SystemClock
from meshagent.errors import MeshError

__all__ = ["unready", "wait_ready"]

_STEP_S = 0.1


def wait_ready(client: Client, service_id: str, timeout_s: float) -> str:
    """ "" once the sidecar of the service is ready, else what was still missing after `timeout_s` seconds."""
    import threading

    clock, pause = SystemClock(), threading.Event()
    end = clock.monotonic() + timeout_s
    while True:
        reason = unready(client, service_id)
        if not reason or clock.monotonic() >= end:
            return reason
        pause.wait(_STEP_S)


def unready(client: Client, service_id: str) -> str:
    """What is missing; "" when nothing is."""
    try:
        services = client.get("agent/services")
        found = [
            one
            for one in services.values()
            if one.get("Kind") == "connect-proxy" and one.get("Proxy", {}).get("DestinationServiceID") == service_id
        ]
        if not found:
            return "no sidecar is registered"
        for one in found:
            snapshot = client.get(f"agent/connect/proxy/{one['ID']}")
            if not snapshot["leaf_chain"]:
                return "there is no leaf certificate yet"
            for name, address, port in _listeners(snapshot):
                if not _accepts(address, port):
                    return f"{name} does not listen at {address}:{port}"
    except ApiError as error:
        return str(error)
    except MeshError as error:
        return str(error)
    return ""


def _listeners(snapshot: dict[str, Any]) -> list[tuple[str, str, int]]:
    inbound = snapshot.get("inbound")
    found = [("the public port", inbound["address"], inbound["port"])] if inbound else []
    return found + [
        (f"the upstream {one['name']}", one["address"], one["port"])
        for one in snapshot.get("outbound", ())
        if one["port"]
    ]


def _accepts(address: str, port: int) -> bool:
    place = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(address, address)
    with contextlib.suppress(OSError), socket.create_connection((place, port), timeout=1.0):
        return True
    return False

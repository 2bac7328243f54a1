"""I/O edge: where `top`, `tap` and `intention suggest` read: the whole datacenter through an agent, or this host alone.

Source: our own `/v1/connect/edges` and `/v1/connect/tap`; the sockets of this user's sidecars with `-local`. What may
change here: nothing without those.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import click

from meshagent.agent.cli import admin_client
from meshagent.agent.cli.client import ApiError, Client
from meshagent.agent.cli.output import fail
from meshagent.errors import MeshError

__all__ = ["Look", "Sidecar", "edges", "live", "look", "require", "tell_missing"]


@dataclass(frozen=True, slots=True)
class Sidecar:
    """One that answered; its edges are counts since it started. `node` is "" for one of this host."""

    node: str
    service: str
    proxy_id: str
    edges: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Look:
    """What was found: sidecars, and in a line each who did not answer."""

    sidecars: tuple[Sidecar, ...]
    missing: tuple[str, ...] = ()


def look(client: Client, service: str, *, local: bool) -> Look:
    """The sidecars of a service, or all. Raises MeshError."""
    if local:
        found = [one for one in admin_client.running() if not service or one.service == service]
        return Look(tuple(Sidecar("", one.service, one.proxy_id, one.edges) for one in found))
    said = client.get("connect/edges", {"service": service} if service else {})
    return Look(
        tuple(Sidecar(one["Node"], one["Service"], one["ProxyID"], tuple(one["Edges"])) for one in said["Sidecars"]),
        tuple(_missing(one["Node"], one["ProxyID"], one["Reason"]) for one in said["Missing"]),
    )


def require(found: Look, service: str, *, local: bool) -> None:
    """Refuse to go on with nothing: say where nothing answers."""
    if not found.sidecars:
        tell_missing(found.missing)
        where = "on this host" if local else "in the datacenter"
        raise fail(f"No sidecar of {service} answers {where}" if service else f"No sidecar answers {where}")


def tell_missing(missing: tuple[str, ...]) -> None:
    """On standard error: what is shown may not be all."""
    for line in missing:
        click.echo(f"not included: {line}", err=True)


def edges(found: Look) -> list[dict[str, Any]]:
    """All edges."""
    return [edge for sidecar in found.sidecars for edge in sidecar.edges]


def live(client: Client, service: str, filters: Mapping[str, str], *, local: bool) -> Iterator[dict[str, Any]]:
    """Requests as they happen. Who does not answer is told on standard error.

    Raises:
        ValueError: a filter was refused.
    """
    if local:
        sidecars = [one for one in admin_client.running() if not service or one.service == service]
        require(Look(tuple(Sidecar("", one.service, "", ()) for one in sidecars)), service, local=True)
        yield from admin_client.lines(sidecars, filters)
        return
    query = {**filters, **({"service": service} if service else {})}
    try:
        for line in client.lines("connect/tap", query):
            if not line:
                continue
            said = json.loads(line)
            if "missing" in said:
                tell_missing((_missing(said["missing"], said["proxy_id"], said["reason"]),))
            else:
                yield said
    except ApiError as error:
        raise ValueError(str(error)) from None
    raise MeshError("the agent has ended the tap: its log says why")


def _missing(node: str, proxy_id: str, reason: str) -> str:
    return f"{node}{f', {proxy_id}' if proxy_id else ''}: {reason}"

"""What narrows or orders the rows of a read: `?filter`, `?near`, `?node-meta`, `?tag`.

Source: surface rows C21-C23, F6. What may change here: parameters that several families share.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import msgspec

from meshagent.agent.http.request import Request
from meshagent.catalog import queries
from meshagent.catalog.model import ServiceEntry
from meshagent.catalog.queries import Result
from meshagent.connect.central import merged

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["filtered", "narrow", "node_meta", "peer_of", "with_central_config"]

T = TypeVar("T")


def node_meta(request: Request) -> dict[str, str]:
    """The pairs of `?node-meta` that must all match."""
    return dict(request.options.node_meta)


def peer_of(request: Request) -> str:
    """The peer whose instances are asked for; "" for this cluster's own."""
    return (request.query.get("peer") or "").lower()


def filtered(request: Request, kind: str, rows: list[T]) -> list[T]:
    """The rows that `?filter` lets through.

    Raises:
        InternalError: the expression or a selector is not valid (surface row C21).
    """
    expression = request.options.filter
    if not expression:
        return rows
    from meshagent.catalog.filters import compile_filter  # with re2: only where a filter is used

    matches = compile_filter(expression, kind)
    return [row for row in rows if matches(row)]


def narrow(
    agent: Agent, request: Request, result: Result[list[T]], kind: str, node_of: Callable[[T], str]
) -> Result[list[T]]:
    """A result with `?filter` and `?near` applied; its topics grow by the coordinates when they matter."""
    near = request.options.near
    rows = filtered(request, kind, result.rows)
    if not near:
        return result if rows is result.rows else Result(rows, result.index, result.topics)
    origin = (request.asker or agent.node_name) if near == "_agent" else near
    if near == "_ip":
        nodes, _ = queries.by_address(agent.store, request.remote).rows
        origin = nodes[0].name if nodes else ""
    rows = queries.sort_by_distance(agent.store, origin, rows, node_of)
    return Result(rows, result.index, (*result.topics, "coordinates"))


def with_central_config(
    agent: Agent, request: Request, result: Result[list[ServiceEntry]]
) -> Result[list[ServiceEntry]]:
    """With `?merge-central-config`, proxies as `proxy-defaults` and `service-defaults` make them (surface row M6)."""
    if not request.query.has("merge-central-config"):
        return result
    entries = agent.store.config.watched()
    rows = [msgspec.structs.replace(entry, service=merged(entry.service, entries)) for entry in result.rows]
    return Result(rows, result.index, (*result.topics, *entries.topics))

"""The types of watches: what each needs, what it reads, and what of the answer it hands over.

Source: surface row G40; developer.hashicorp.com/consul/docs/dynamic-app-config/watches. Pure. A new type is one row of
`PLANS`; its parameters are attributes of whatever describes the watch (`config/watches.py`, the flags of the command).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote, urlencode

__all__ = ["PLANS", "Plan", "Watched", "target"]


class Watched(Protocol):
    """The parameters of a watch; "" and empty where it has none."""

    @property
    def type(self) -> str: ...
    @property
    def datacenter(self) -> str: ...
    @property
    def stale(self) -> bool: ...
    @property
    def filter(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def prefix(self) -> str: ...
    @property
    def service(self) -> str: ...
    @property
    def service_id(self) -> str: ...
    @property
    def tag(self) -> tuple[str, ...]: ...
    @property
    def passingonly(self) -> bool: ...
    @property
    def state(self) -> str: ...
    @property
    def name(self) -> str: ...


Query = list[tuple[str, str]]
_EMPTY: Query = []


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One type. `needs`: parameters that must be given. `path` is below /v1/. `result` makes of the answer's JSON (None
    for 404) what the handler gets. `by_hash`: it waits on a hash, not on an index. `ordered`: its index only grows."""

    needs: tuple[str, ...] = ()
    path: Callable[[Watched], str]
    query: Callable[[Watched], Query] = lambda watch: _EMPTY
    result: Callable[[Any], Any] = lambda value: value
    by_hash: bool = False
    ordered: bool = True


def _service_query(watch: Watched) -> Query:
    return [("tag", tag) for tag in watch.tag] + ([("passing", "1")] if watch.passingonly else [])


def _checks_path(watch: Watched) -> str:
    return f"health/checks/{quote(watch.service)}" if watch.service else f"health/state/{quote(watch.state or 'any')}"


PLANS: Mapping[str, Plan] = {
    "key": Plan(
        needs=("key",), path=lambda watch: f"kv/{quote(watch.key)}", result=lambda rows: rows[0] if rows else None
    ),
    "keyprefix": Plan(
        needs=("prefix",), path=lambda watch: f"kv/{quote(watch.prefix)}", query=lambda watch: [("recurse", "")]
    ),
    "services": Plan(path=lambda watch: "catalog/services"),
    "nodes": Plan(path=lambda watch: "catalog/nodes"),
    "service": Plan(
        needs=("service",), path=lambda watch: f"health/service/{quote(watch.service)}", query=_service_query
    ),
    "checks": Plan(path=_checks_path),
    "event": Plan(
        path=lambda watch: "event/list",
        query=lambda watch: [("name", watch.name)] if watch.name else _EMPTY,
        ordered=False,
    ),
    "connect_roots": Plan(path=lambda watch: "agent/connect/ca/roots"),
    "connect_leaf": Plan(needs=("service",), path=lambda watch: f"agent/connect/ca/leaf/{quote(watch.service)}"),
    "agent_service": Plan(
        needs=("service_id",), path=lambda watch: f"agent/service/{quote(watch.service_id)}", by_hash=True
    ),
}


def target(watch: Watched, index: str) -> str:
    """Path and query of the next read, which waits while the answer is the one with `index` ("": it does not wait)."""
    plan = PLANS[watch.type]
    query = list(plan.query(watch))
    if watch.datacenter:
        query.append(("dc", watch.datacenter))
    if watch.stale:
        query.append(("stale", ""))
    if watch.filter:
        query.append(("filter", watch.filter))
    if index:
        query.append(("hash" if plan.by_hash else "index", index))
    return f"/v1/{plan.path(watch)}" + (f"?{urlencode(query)}" if query else "")

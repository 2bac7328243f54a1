"""Where a filter goes among others.

Source: surface row M81 (`InsertOptions`). The last filter is the one that ends the chain: the router, the TCP proxy.
What may change here: further places.
"""

from __future__ import annotations

from collections.abc import Callable

from meshagent.connect.envoy.resources import Resource

__all__ = ["before_last", "insert"]

Filters = list[Resource]


def before_last(filters: Filters, made: Resource) -> None:
    """Just before the filter that ends the chain."""
    filters.insert(max(len(filters) - 1, 0), made)


def insert(filters: Filters, made: Resource, location: str, name: str) -> None:
    """At a place in Consul's words; where nothing matches `name`, before the last one."""
    found = [at for at, one in enumerate(filters) if one.get("name") == (name or filters[-1].get("name"))]
    place = _PLACES.get(location, _before_last)(filters, found)
    filters.insert(place, made)


def _before_last(filters: Filters, found: list[int]) -> int:
    return max(len(filters) - 1, 0)


_PLACES: dict[str, Callable[[Filters, list[int]], int]] = {
    "First": lambda filters, found: 0,
    "BeforeLast": _before_last,
    "AfterFirstMatch": lambda filters, found: found[0] + 1 if found else _before_last(filters, found),
    "AfterLastMatch": lambda filters, found: found[-1] + 1 if found else _before_last(filters, found),
    "BeforeFirstMatch": lambda filters, found: found[0] if found else _before_last(filters, found),
    "BeforeLastMatch": lambda filters, found: found[-1] if found else _before_last(filters, found),
}

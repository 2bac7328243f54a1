"""Sources in order, merged into one draft (surface rows G1 and G2).

A later source replaces a value, appends to a list and adds to a map. Keys match without regard to case; former keys
work with a warning; what is not known is a problem that names file, line and the nearest key. Nothing stops at the
first problem. The rules of merging are upstream's and must stay: clusters are configured by many small files.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from meshagent.agent.config.convert import convert
from meshagent.agent.config.enterprise import ALREADY_OFF, ENTERPRISE
from meshagent.agent.config.option import Group, Option
from meshagent.agent.config.root import Config
from meshagent.agent.decode import Problem
from meshagent.located import Items, Place, Table, place_of, told

__all__ = ["Draft", "table_of"]

_APPENDED = frozenset({"list", "rows", "free-list"})
_MERGED = frozenset({"map", "durations", "free"})


@cache
def _renamed() -> dict[str, tuple[str, Option]]:
    """Former key -> key and option."""
    return {former: (key, option) for key, option in Config.every_option() for former in option.former}


def _names(type_: type[Group]) -> dict[str, str]:
    """Folded key -> attribute, of one group."""
    found = {name: name for name in type_.options}
    for name, option in type_.options.items():
        found.update(dict.fromkeys(option.also, name))
    return found


class Draft:
    """Typed values by full key, each with the place that set it last, and what was found wrong on the way."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.places: dict[str, Place] = {}
        self.row_places: dict[str, list[Place | None]] = {}
        self.problems: list[str] = []
        self.warnings: list[str] = []

    def where(self, keys: str | tuple[str, ...]) -> str:
        """`<place>: ` of what set the key, or the first of several keys that was set; "" if none was."""
        places = (self.places.get(key) for key in ((keys,) if isinstance(keys, str) else keys))
        return next((f"{place}: " for place in places if place), "")

    def add(self, source: Table) -> None:
        """Merges one source."""
        self._group(source, Config, "")

    def _group(self, table: Table, type_: type[Group], prefix: str) -> None:
        names = _names(type_)
        # Former keys first: where both are given, the new one counts.
        for key in sorted(table, key=lambda key: prefix + key.casefold() not in _renamed()):
            name = names.get(key.casefold())
            place = table.places[key]
            if name is None:
                self._other(table, key, type_, prefix, place)
            elif table[key] is not None:
                self._value(table, key, prefix + name, type_.options[name], place)

    def _other(self, table: Table, key: str, type_: type[Group], prefix: str, place: Place) -> None:
        full = prefix + key.casefold()
        if full in _renamed():
            new, option = _renamed()[full]
            self.warnings.append(f"{place}: the '{full}' field is deprecated. Use the '{new}' field instead.")
            if table[key] is not None:
                self._value(table, key, new, option, place)
        elif full in ENTERPRISE:
            if not table[key]:  # null, empty, false: as good as left out; programs that write configurations do that
                return
            self.problems.append(
                f"{place}: {full} belongs to Consul Enterprise ({ENTERPRISE[full]}), which this agent does not offer"
            )
        elif full not in ALREADY_OFF:
            self.problems.append(f"{place}: invalid config key {prefix}{key}{_nearest(full, type_, prefix)}")

    def _value(self, table: Table, key: str, full: str, option: Option, place: Place) -> None:
        value = table[key]
        if option.kind == "group":
            parts = value if isinstance(value, list) else [value]
            for part in parts:
                if isinstance(part, Table):
                    self._group(part, option.type, f"{full}.")
                else:
                    self.problems.append(f"{place}: {full}: must be an object")
            return
        found: list[Problem] = []
        typed = convert(option, value, found)
        for problem in found:
            self.problems.append(told(table, key, full, problem))
        if typed is not None:
            self.put(full, option, typed, place)
        if option.kind == "rows":
            rows = len(typed or ())
            places = [place_of(table, [key, at]) if isinstance(value, Items) else place for at in range(rows)]
            self.row_places.setdefault(full, []).extend(places)

    def put(self, full: str, option: Option, typed: Any, place: Place) -> None:
        """Takes a value over what was there."""
        old = self.values.get(full, option.default)
        if option.kind in _APPENDED:
            typed = (*old, *typed)
        elif option.kind in _MERGED:
            typed = {**old, **typed}
        self.values[full] = typed
        self.places[full] = place

    def build(self) -> Config:
        """The configuration as given: nothing is filled in or checked yet."""
        config: Config = self._build(Config, "")
        return config

    def _build(self, type_: type[Any], prefix: str) -> Any:
        values = {}
        for name, option in type_.options.items():
            if option.kind == "group":
                values[name] = self._build(option.type, f"{prefix}{name}.")
            elif prefix + name in self.values:
                values[name] = self.values[prefix + name]
        return type_(**values)


def _nearest(full: str, type_: type[Group], prefix: str) -> str:
    import difflib

    key = full.removeprefix(prefix)
    near = difflib.get_close_matches(key, list(_names(type_)), 1)
    if near:
        return f" (did you mean '{prefix}{near[0]}'?)"
    same = [f"'{option}'" for option, _ in Config.every_option() if option.rpartition(".")[2] == key]
    return f" (did you mean {' or '.join(same[:3])}?)" if same else ""


def table_of(values: Iterable[tuple[str, Any]], place: Place) -> Table:
    """Plain dicts as a source, all from one place."""
    table = Table(place)
    for key, value in values:
        table.put(key, table_of(value.items(), place) if isinstance(value, dict) else value, place)
    return table

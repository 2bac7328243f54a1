"""Flags of `agent`, derived from the options (surface row CL1), and their values as a source.

Source: developer.hashicorp.com/consul/docs/agent/config/cli-flags. Flags have one dash and long names. Those that say
where to read from (`-config-dir`, `-hcl`, `-dev`) are no options; their key begins with `@`. A new flag is a word in
`flags=` of its option.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from meshagent.agent.config.merge import table_of
from meshagent.agent.config.option import Option
from meshagent.agent.config.root import Config
from meshagent.located import Place, Table

__all__ = ["Flag", "flag_source", "flags"]


class Flag(NamedTuple):
    """One flag. `type` is string, bool, int or duration (a string too); `multiple` may be given more than once."""

    names: tuple[str, ...]
    key: str
    type: str
    multiple: bool
    help: str


_SOURCES = (
    Flag(("-dev",), "@dev", "bool", False, "A server in memory on this host alone, for trying things out."),
    Flag(("-config-file",), "@config-file", "string", True, "A file to read; later ones override earlier ones."),
    Flag(("-config-dir",), "@config-dir", "string", True, "A directory whose .hcl and .json files are read by name."),
    Flag(("-config-format",), "@config-format", "string", False, "`hcl` or `json`, for files of any name."),
    Flag(("-hcl",), "@hcl", "string", True, "A piece of HCL, read after all files."),
)
_TYPES = {"bool": "bool", "int": "int", "float": "string", "duration": "duration"}
_LISTS = frozenset({"list", "map"})


@cache
def flags() -> tuple[Flag, ...]:
    """All flags, those that say where to read from first."""
    derived = [_flag(key, option) for key, option in Config.every_option() if option.flags]
    return (*_SOURCES, *derived)


def _flag(key: str, option: Option) -> Flag:
    help_ = option.help + (" key:value." if option.kind == "map" else "")
    return Flag(option.flags, key, _TYPES.get(option.kind, "string"), option.kind in _LISTS, help_)


def flag_source(values: Mapping[str, Any]) -> Table:
    """Given flags by option key, as the source that overrides all files; None and empty lists are not given.

    `key:value` words of a map flag become a map. Each value stands at its flag, for messages.
    """
    root = Table(Place("flags"))
    by_key = {flag.key: flag for flag in flags()}
    options = dict(Config.every_option())
    for key, value in values.items():
        if value is None or value == () or value == [] or key.startswith("@"):
            continue
        place = Place(f"flag {by_key[key].names[0]}")
        if options[key].kind == "map":
            value = dict(str(word).partition(":")[::2] for word in value)
        elif options[key].kind == "list":
            value = [value] if isinstance(value, str) else list(value)
        table = root
        *outer, last = key.split(".")
        for name in outer:
            if name not in table:
                table.put(name, Table(place), place)
            table = table[name]
        table.put(last, table_of(value.items(), place) if isinstance(value, dict) else value, place)
    return root

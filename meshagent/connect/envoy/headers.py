"""Header changes in Envoy's words: of a route, a virtual host or a weighted cluster. Pure.

Source: surface rows M23-M25, X13; Envoy's HeaderValueOption and command operators. What may change here: which values
are taken for commands.
"""

from __future__ import annotations

import re

from meshagent.catalog.entries.entry import HeaderModifiers
from meshagent.connect.envoy.resources import Resource
from meshagent.connect.header_edits import usable

__all__ = ["authority_of", "escaped", "header_edits"]

#: A command of Envoy's format language, or an escaped percent sign.
_COMMAND = re.compile(r"%%|%[A-Z0-9_]+(?:\([^()]*\))?(?::[0-9]+)?%")


def header_edits(request: HeaderModifiers | None, response: HeaderModifiers | None) -> Resource:
    """Header changes of a route, a virtual host or a weighted cluster: first what is added, then what is set. Envoy
    changes the authority elsewhere (`authority_of`)."""
    found: Resource = {}
    for way, modifiers in (("request", usable(request)), ("response", usable(response))):
        added: list[Resource] = [{"header": _pair(*one)} for one in (modifiers.add or {}).items() if _is_header(one[0])]
        for name, value in (modifiers.set or {}).items():
            if _is_header(name):
                added.append({"header": _pair(name, value), "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"})
        if added:
            found[f"{way}_headers_to_add"] = added
        if modifiers.remove:
            found[f"{way}_headers_to_remove"] = list(modifiers.remove)
    return found


def _is_header(name: str) -> bool:
    return name.lower() != "host"


def authority_of(modifiers: HeaderModifiers | None) -> str:
    """The authority that requests get, "" for the one they have."""
    made = usable(modifiers)
    given = {name.lower(): value for name, value in ((made.add or {}) | (made.set or {})).items()}
    return given.get("host", "")


def _pair(name: str, value: str) -> Resource:
    return {"key": name, "value": escaped(value)}


def escaped(value: str) -> str:
    """A value with percent signs doubled that begin none of Envoy's commands."""
    parts: list[str] = []
    at = 0
    for command in _COMMAND.finditer(value):
        parts += [value[at : command.start()].replace("%", "%%"), command[0]]
        at = command.end()
    return "".join([*parts, value[at:].replace("%", "%%")])

"""Every field of every config entry, and what the built-in proxy does with it, for docs/reference/config-entries.md.

Source: the types of catalog/entries/table.py; docs/executed.toml says which module executes a field. A claim is checked
against the module's syntax tree: it must read an attribute (or a key) of that name. What is not claimed is kept and
returned only; `[kept]` says of some why there is nothing to do. What may change here: what counts as reading.
"""

from __future__ import annotations

import ast
import functools
import tomllib
import typing
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec

from meshagent.catalog.entries.table import CONFIG_ENTRIES

__all__ = ["executed", "fields_of", "reasons"]

DOCS = Path(__file__).resolve().parent
#: Kept by the catalog itself; no proxy has anything to do with them.
_BOOKKEEPING = frozenset({"Hash", "CreateIndex", "ModifyIndex"})


def fields_of(kind: type[msgspec.Struct]) -> Iterator[tuple[str, str]]:
    """(path as in JSON, attribute) of every field without fields of its own."""
    hints = typing.get_type_hints(kind)
    for field in msgspec.structs.fields(kind):
        inner = _structs(hints[field.name])
        if field.encode_name in _BOOKKEEPING:
            continue
        if not inner:
            yield field.encode_name, field.name
        for struct in inner:
            for path, attribute in fields_of(struct):
                yield f"{field.encode_name}.{path}", attribute


def executed() -> dict[str, dict[str, str]]:
    """Kind -> field -> the module that executes it, "" for one that is kept only.

    Raises:
        ValueError: a line of executed.toml that is not true, or names no field.
    """
    claims = _claims()
    claims.pop("kept", None)
    unknown = claims.keys() - CONFIG_ENTRIES.keys()
    if unknown:
        raise ValueError(f"executed.toml: no kinds: {sorted(unknown)}")
    found: dict[str, dict[str, str]] = {}
    for kind, row in CONFIG_ENTRIES.items():
        fields = dict(fields_of(row.type))
        state = dict.fromkeys(fields, "")
        for module, patterns in claims.get(kind, {}).items():
            for pattern in patterns:
                matched = [path for path in fields if fnmatchcase(path, pattern)]
                if not matched:
                    raise ValueError(f"executed.toml: {kind} has no field {pattern}")
                for path in matched:
                    if not {fields[path], path.rsplit(".", 1)[-1]} & _names(module):
                        raise ValueError(f"executed.toml: {module} does not read {kind} {path}")
                    state[path] = module
        found[kind] = state
    return found


def reasons() -> dict[str, dict[str, str]]:
    """Kind -> field -> why the built-in proxy has nothing to do with it; fields that are merely not executed are not
    there.

    Raises:
        ValueError: a pattern of `[kept]` fits no field.
    """
    state = executed()
    found: dict[str, dict[str, str]] = {kind: {} for kind in state}
    for reason, patterns in _claims().get("kept", {}).items():
        for pattern in patterns:
            every = ((kind, path) for kind, fields in state.items() for path in fields)
            fits = [(kind, path) for kind, path in every if fnmatchcase(f"{kind} {path}", pattern)]
            if not fits:
                raise ValueError(f"executed.toml: no field is {pattern}")
            for kind, path in fits:
                if not state[kind][path]:
                    found[kind].setdefault(path, reason)
    return found


def _claims() -> dict[str, dict[str, list[str]]]:
    return tomllib.loads((DOCS / "executed.toml").read_text())


@functools.cache
def _names(module: str) -> frozenset[str]:
    """Attributes that a module reads, and its texts."""
    tree = ast.parse((DOCS.parent / module).read_text())
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return frozenset(attributes | texts)


def _structs(hint: Any) -> list[type[msgspec.Struct]]:
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return [hint]
    return [found for one in typing.get_args(hint) for found in _structs(one)]

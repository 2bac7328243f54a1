"""Header changes of entries, as far as a proxy may make them. Pure.

Headers that frame a message stay with the proxy, and a value must not make another line. What is set goes before what
is added: of a name in both only the set value stays. `host` is the authority of a request; it can be set, not taken
away.

Source: surface rows M23, M24; Envoy's HeaderValueOption (no `:`-headers, no controls in values); RFC 9110 section
7.6.1. What may change here: further headers that are left alone.
"""

from __future__ import annotations

from meshagent.catalog.entries.entry import HeaderModifiers

__all__ = ["joined", "usable"]

_FRAMING = frozenset({"connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade", "keep-alive"})
_NOT_IN_VALUES = frozenset("\r\n\0")


def usable(modifiers: HeaderModifiers | None) -> HeaderModifiers:
    """The changes that are made; names keep their case."""
    if modifiers is None:
        return HeaderModifiers()
    given = modifiers.set or {}
    replaced = {name.lower() for name in given if _may_edit(name)}
    return HeaderModifiers(
        add=_values({name: value for name, value in (modifiers.add or {}).items() if name.lower() not in replaced}),
        set=_values(given),
        remove=tuple(name for name in modifiers.remove if _may_edit(name) and name.lower() != "host"),
    )


def joined(outer: HeaderModifiers | None, inner: HeaderModifiers | None) -> HeaderModifiers | None:
    """The changes of two levels as one; the inner one's come last."""
    if outer is None or inner is None:
        return inner or outer
    return HeaderModifiers(
        add={**(outer.add or {}), **(inner.add or {})} or None,
        set={**(outer.set or {}), **(inner.set or {})} or None,
        remove=tuple(dict.fromkeys((*outer.remove, *inner.remove))),
    )


def _values(values: dict[str, str]) -> dict[str, str]:
    return {
        name: value.strip(" \t")
        for name, value in values.items()
        if _may_edit(name) and _NOT_IN_VALUES.isdisjoint(value)
    }


def _may_edit(name: str) -> bool:
    return name.lower() not in _FRAMING and name.isascii() and name.replace("-", "a").replace("_", "a").isalnum()

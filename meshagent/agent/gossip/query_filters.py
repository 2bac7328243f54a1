"""Who a query is meant for: filters by node name and by tag.

Source: surface row S41: each filter is a byte string: 0 and an array of node names, or 1 and `{Expr, Tag}` where the
regular expression is found anywhere in the tag's value and a missing tag is empty. All must hold. Expressions are RE2,
as Go's are, so that one from outside cannot take forever. What may change here: numbers are append-only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from meshagent.agent.gossip import fields as go
from meshagent.catalog.go_regexp import compile_search
from meshagent.errors import RemoteProtocolError

__all__ = ["encode_node_filter", "encode_tag_filter", "meant_for"]

_NODES = 0
_TAG = 1
#: More filters than this say nothing that fewer could not, and a query has room for about so many.
_MAX_FILTERS = 64


def encode_node_filter(names: Sequence[str]) -> bytes:
    """Only these nodes."""
    return bytes((_NODES,)) + go.pack(list(names))


def encode_tag_filter(tag: str, expression: str) -> bytes:
    """Only nodes where `expression` is found in the value of `tag`."""
    return bytes((_TAG,)) + go.pack({"Expr": expression, "Tag": tag})


def meant_for(filters: Iterable[bytes], name: str, tags: Mapping[str, str]) -> bool:
    """Whether the node `name` with `tags` passes all filters.

    Raises:
        RemoteProtocolError: one cannot be read; then the query is for nobody.
    """
    filters = tuple(filters)
    if len(filters) > _MAX_FILTERS:
        raise RemoteProtocolError(f"a query with {len(filters)} filters")
    return all(_passes(part, name, tags) for part in filters)


def _passes(part: bytes, name: str, tags: Mapping[str, str]) -> bool:
    kind = part[0] if part else None
    if kind == _NODES:
        names = go.read_value(part[1:])
        if type(names) is not list or not all(type(each) is bytes for each in names):
            raise RemoteProtocolError("a node filter holds something other than names")
        return name.encode() in names
    if kind == _TAG:
        fields = go.read_map(part[1:])
        expression = go.text(fields, b"Expr")
        try:
            found = compile_search(expression)
        except ValueError as error:
            raise RemoteProtocolError(f"tag filter: {error}") from None
        return bool(found(tags.get(go.text(fields, b"Tag"), "")))
    raise RemoteProtocolError(f"filter of unknown kind {kind}")

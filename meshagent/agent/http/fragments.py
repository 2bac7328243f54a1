"""Lists of instances as JSON, put together from pieces that are encoded once.

A row of the catalog is immutable, so its JSON is kept beside it: a change of one instance of a thousand encodes one
piece and joins. What no list uses any more is forgotten with the row it stands for.

Source: design.md "The hot paths serve bytes"; surface rows O2, O5. What may change here: bounds and what is a piece.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from meshagent.agent.http.response import encode_json
from meshagent.agent.http.shapes import catalog_service, health_entry
from meshagent.catalog.model import ServiceEntry

__all__ = ["Memo", "encode_catalog", "encode_entries"]

#: id(entry) -> (entry, its JSON); holding the entry keeps its id from being used again.
Memo = dict[int, tuple[ServiceEntry, bytes]]

#: Shorter lists are encoded as a whole: that is faster than looking up pieces.
PIECES_FROM = 16


def encode_entries(entries: list[ServiceEntry], memo: Memo) -> bytes:
    """The list of O5 objects. `memo` belongs to the list: it is read and then holds what this list is made of."""
    return _encode(entries, memo, health_entry)


def encode_catalog(entries: list[ServiceEntry], memo: Memo) -> bytes:
    """The list of O2 objects; `memo` as for `encode_entries`."""
    return _encode(entries, memo, catalog_service)


def _encode(entries: list[ServiceEntry], memo: Memo, shape: Callable[[ServiceEntry], Any]) -> bytes:
    if len(entries) < PIECES_FROM:
        memo.clear()
        return encode_json([shape(entry) for entry in entries])
    fresh: Memo = {}
    pieces: list[bytes] = []
    for entry in entries:
        key = id(entry)
        held = memo.get(key)
        if held is None:
            held = (entry, encode_json(shape(entry)))
        fresh[key] = held
        pieces.append(held[1])
    memo.clear()
    memo.update(fresh)
    return b"[" + b",".join(pieces) + b"]"

"""Stale reads may be old, but what one server process shows never goes back, over all keys together.

A server applies one log in order. So once it has shown an index, a later read (asked after that answer had come) must
show every write up to that index: the key's own ModifyIndex may not be lower than that of a write known to have
happened before, and a key's X-Consul-Index never falls. A start of the process begins anew: how far it may apply what
it has, a server learns only then from the leader.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable

from meshtest.linearizability.checker import Verdict
from meshtest.linearizability.history import Operation


def check_stale(operations: Iterable[Operation]) -> Verdict:
    """All answered `stale` reads of a history; of the others only the indexes they saw are used."""
    verdict = Verdict()
    by_life: defaultdict[tuple[str, int], list[Operation]] = defaultdict(list)
    written: defaultdict[str, set[int]] = defaultdict(set)
    for one in operations:
        if one.kind != "get" or one.returned is None:
            continue
        if one.seen is not None:
            written[one.key].add(one.seen.modify_index)
        if one.mode == "stale":
            by_life[one.server, one.life].append(one)
    indexes = {key: sorted(found) for key, found in written.items()}
    for rows in by_life.values():
        verdict.operations += len(rows)
        verdict.problems += _backwards(rows, indexes)
    verdict.keys = len({row.key for rows in by_life.values() for row in rows})
    return verdict


def _backwards(rows: list[Operation], indexes: dict[str, list[int]]) -> list[str]:
    """Reads that show less than one that had returned before they were asked."""
    found = []
    returned = sorted(rows, key=_returned)
    furthest: Operation | None = None
    of_key: dict[str, Operation] = {}
    at = 0
    for row in sorted(rows, key=lambda row: row.invoked):
        while at < len(returned) and _returned(returned[at]) < row.invoked:
            before = returned[at]
            if furthest is None or _shown(before) > _shown(furthest):
                furthest = before
            if before.key not in of_key or _shown(before) > _shown(of_key[before.key]):
                of_key[before.key] = before
            at += 1
        same = of_key.get(row.key)
        if same is not None and _shown(row) < _shown(same):
            found.append(f"{row.key}: its index went back\n    {same}\n    {row}")
        elif furthest is not None and row.seen is not None:
            known = indexes[row.key]
            later = bisect_right(known, row.seen.modify_index)
            if later < len(known) and known[later] <= _shown(furthest):
                found.append(f"{row.key}: lacks the write of index {known[later]}\n    {furthest}\n    {row}")
    return found


def _returned(row: Operation) -> float:
    return row.returned if row.returned is not None else float("inf")


def _shown(row: Operation) -> int:
    """The index up to which this answer shows the log."""
    return max(row.store_index, row.seen.modify_index if row.seen is not None else 0)

"""A Wing-Gong-Lowe search: is there one order, true to time, in which every answer is right?

Source: Wing and Gong, "Testing and verifying concurrent objects" (1993); Lowe, "Testing for linearizability" (2017):
just-in-time linearization with what was tried remembered. Calls and returns are walked in time. A configuration is a
state, which open calls have taken effect already, and how many writes of unknown outcome were used up. At a return, it
is carried on by sequences of open moves that end with the returning one; the search goes on with one of the results
and comes back for the others when that leads nowhere. Keys are independent (linearizability is local), so each is
searched alone.

Writes of unknown outcome cost only where they are needed: fewest first, and a configuration that has used up more than
one that led nowhere from the same place is not looked at.
What may be changed: the order of the search; never what counts as the same configuration.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from meshtest.linearizability.history import Operation
from meshtest.linearizability.preparing import Loose, Move, Prepared, Refused, prepare
from meshtest.linearizability.register import EMPTY, State, loose_step, step

_CALL, _LOOSE, _RETURN = 0, 1, 2
MOST_STEPS = 20_000_000
"""Configurations of one key before the search gives up: a few minutes. Histories of real faults need under a tenth."""

Place = tuple[State, int, int]
"""(state, next rank, mask of the open calls that took effect)"""
Uses = tuple[int, ...]
"""How many of each class of loose writes were used up."""


@dataclass(slots=True)
class Verdict:
    """`problems` is empty when the history is linearizable; `operations` counts what was decided on.

    `undecided` are keys whose search was given up: neither right nor wrong.
    """

    operations: int = 0
    keys: int = 0
    loose: int = 0
    problems: list[str] = field(default_factory=list)
    undecided: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.problems and not self.undecided


class _GivenUp(Exception):
    pass


def check(operations: Iterable[Operation]) -> Verdict:
    """All of a history; operations of different keys do not touch each other."""
    by_key: defaultdict[str, list[Operation]] = defaultdict(list)
    for operation in operations:
        by_key[operation.key].append(operation)
    verdict = Verdict(keys=len(by_key))
    for key, rows in by_key.items():
        try:
            prepared = prepare(rows)
            verdict.operations += len(prepared.calls)
            verdict.loose += len(prepared.loose)
            _walk(prepared)
        except Refused as refused:
            shown = "".join(f"\n    {row}" for row in refused.operations)
            verdict.problems.append(f"{key}: {refused.reason}{shown}")
        except _GivenUp:
            verdict.undecided.append(key)
    return verdict


@dataclass(slots=True)
class _At:
    """What is known before an event: it does not depend on the order that is tried."""

    number: int
    """of the call that returns"""
    open_moves: list[tuple[int, Move]]
    """(bit, move) of each open call, the returning one first"""
    mine: int
    available: Uses


def _events(prepared: Prepared, place: dict[Loose, int]) -> list[_At]:
    """The returns, each with what is open and available then."""
    order = [(invoked, _LOOSE, place[what]) for invoked, what in prepared.loose]
    for number, (invoked, returned, _, _) in enumerate(prepared.calls):
        order += [(invoked, _CALL, number), (returned, _RETURN, number)]
    order.sort()  # what begins as another one returns may still be beside it
    available = [0] * len(place)
    bits: dict[int, int] = {}  # open call: its bit
    free: list[int] = []
    events = []
    for _, what, number in order:
        if what == _LOOSE:
            available[number] += 1
        elif what == _CALL:
            bits[number] = free.pop() if free else 1 << len(bits)
        else:
            mine = bits.pop(number)
            others = [(bit, prepared.calls[call][2]) for call, bit in bits.items()]
            open_moves = [(mine, prepared.calls[number][2]), *others]
            free.append(mine)
            events.append(_At(number, open_moves, mine, tuple(available)))
    return events


def _walk(prepared: Prepared) -> None:
    """Raises: Refused at the furthest return for which no order is left."""
    classes = list(dict.fromkeys(what for _, what in prepared.loose))
    events = _events(prepared, {what: number for number, what in enumerate(classes)})
    failed: defaultdict[tuple[int, Place], list[Uses]] = defaultdict(list)
    furthest = 0
    paths = [iter([((EMPTY, 0, 0), (0,) * len(classes))])]  # before each event, the configurations not tried yet
    for _ in range(MOST_STEPS):
        found = next(paths[-1], None)
        if found is None:
            paths.pop()
            if not paths:
                break
            continue
        number = len(paths) - 1
        if number == len(events):
            return
        place, uses = found
        tried = failed[number, place]
        if any(_covers(other, uses) for other in tried):
            continue
        tried.append(uses)
        furthest = max(furthest, number)
        paths.append(_carried(place, uses, events[number], classes))
    else:
        raise _GivenUp
    if events:
        call = events[furthest].number
        raise Refused("no order explains this answer", prepared.calls[call][3], *_beside(prepared.calls, call))


def _carried(place: Place, uses: Uses, at: _At, classes: Sequence[Loose]) -> Iterator[tuple[Place, Uses]]:
    """Every way on, those first that use up least: the returning call has taken effect, and its bit is free again."""
    mine = at.mine
    if place[2] & mine:
        yield (place[0], place[1], place[2] & ~mine), uses
        return
    seen: defaultdict[Place, list[Uses]] = defaultdict(list)
    level = [(place, uses)]
    while level:  # each level uses up one more
        more: list[tuple[Place, Uses]] = []
        while level:
            here, used = level.pop()
            if any(_covers(other, used) for other in seen[here]):
                continue
            seen[here].append(used)
            state, rank, mask = here
            for bit, move in at.open_moves:
                if mask & bit or (move.rank >= 0 and move.rank != rank):
                    continue
                stepped = step(state, move)
                if stepped is None:
                    continue
                next_rank = rank + (move.rank >= 0)
                if bit == mine:
                    yield (stepped, next_rank, mask), used
                else:
                    level.append(((stepped, next_rank, mask | bit), used))
            for number, count in enumerate(at.available):
                if used[number] < count:
                    stepped = loose_step(state, classes[number])
                    if stepped is not None:
                        # a compare looks for a value that is there only once: it need not be counted
                        counted = classes[number].kind not in ("cas", "delete-cas")
                        spent = (*used[:number], used[number] + counted, *used[number + 1 :])
                        more.append(((stepped, rank, mask), spent))
        level = more


def _covers(other: Uses, uses: Uses) -> bool:
    """Whether `other` has used up no more of anything."""
    return other == uses or all(a <= b for a, b in zip(other, uses, strict=True))


def _beside(calls: Sequence[tuple[float, float, Move, Operation]], number: int) -> list[Operation]:
    """The rows to look at: the last writes before the refused one, and what was open beside it."""
    invoked, returned, _, row = calls[number]
    beside = [one[3] for one in calls if one[0] <= returned and one[1] >= invoked and one[3] is not row]
    before = [one for one in calls if one[1] < invoked and one[3].kind != "get"]
    before.sort(key=lambda one: one[1])
    return [one[3] for one in before[-4:]] + beside[:12]


def summary(operations: Iterable[Operation]) -> str:
    """Counts of a history, by kind and outcome, for a report."""
    counts = Counter(
        (one.kind, "unknown" if (one.returned is None or (one.kind != "get" and one.ok is None)) else "answered")
        for one in operations
    )
    return ", ".join(f"{kind} {outcome} {count}" for (kind, outcome), count in sorted(counts.items()))

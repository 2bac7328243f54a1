"""The checker itself: good histories pass, bad ones are refused for what is wrong with them, and on small histories it
says what trying every order says."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from meshtest.linearizability import Operation, Seen, check, check_stale, load, save
from meshtest.linearizability.checker import summary

NEVER = None


def put(start: float, end: float | None, value: str, *, key: str = "k") -> Operation:
    return Operation("put", key, start, end, value=value, ok=None if end is None else True)


def delete(start: float, end: float | None) -> Operation:
    return Operation("delete", "k", start, end, ok=None if end is None else True)


def get(start: float, end: float, value: str | None, index: int = 0, session: str = "", **more: Any) -> Operation:
    return Operation("get", "k", start, end, seen=None if value is None else Seen(value, index, session), **more)


def cas(start: float, end: float | None, value: str, index: int, ok: bool | None) -> Operation:
    return Operation("cas", "k", start, end, value=value, index=index, ok=ok)


def delete_cas(start: float, end: float, index: int, ok: bool) -> Operation:
    return Operation("delete-cas", "k", start, end, index=index, ok=ok)


def acquire(start: float, end: float | None, value: str, session: str, ok: bool | None) -> Operation:
    return Operation("acquire", "k", start, end, value=value, session=session, ok=ok)


def release(start: float, end: float | None, value: str, session: str, ok: bool | None) -> Operation:
    return Operation("release", "k", start, end, value=value, session=session, ok=ok)


GOOD: dict[str, list[Operation]] = {
    "nothing": [],
    "a missing key": [get(0, 1, None)],
    "one after the other": [put(0, 1, "a"), get(2, 3, "a", 5), put(4, 5, "b"), get(6, 7, "b", 6)],
    "a read beside a write sees the old": [put(0, 1, "a"), put(2, 9, "b"), get(3, 4, "a", 5)],
    "or the new": [put(0, 1, "a"), put(2, 9, "b"), get(3, 4, "b", 6)],
    "touching times are beside each other": [put(0, 1, "a"), get(1, 1, None)],
    "a write that timed out happens late": [put(0, 1, "a"), put(2, None, "b"), get(3, 4, "a", 5), get(8, 9, "b", 7)],
    "or never": [put(0, 1, "a"), put(2, None, "b"), get(3, 4, "a", 5), get(8, 9, "a", 5)],
    "unseen, it explains a refused cas": [
        put(0, 1, "a"),
        get(2, 3, "a", 5),
        put(4, None, "b"),
        cas(5, 6, "c", 5, False),
        put(7, 8, "d"),
    ],
    "a delete that timed out": [put(0, 1, "a"), delete(2, None), get(3, 4, "a", 5), get(8, 9, None)],
    "cas=0 creates": [cas(0, 1, "a", 0, True), cas(2, 3, "b", 0, False), delete(4, 5), cas(6, 7, "c", 0, True)],
    "cas by index": [put(0, 1, "a"), get(2, 3, "a", 5), cas(4, 5, "b", 5, True), cas(6, 7, "c", 5, False)],
    "deleting what is not there": [delete_cas(0, 1, 9, True), put(2, 3, "a"), delete_cas(4, 5, 9, False)],
    "a lock": [
        acquire(0, 1, "a", "s1", True),
        acquire(2, 3, "b", "s2", False),
        acquire(4, 5, "c", "s1", True),
        get(5, 6, "c", 9, "s1"),
        release(6, 7, "d", "s2", False),
        put(7, 8, "e"),
        get(8.5, 8.6, "e", 10, "s1"),
        release(9, 10, "f", "s1", True),
        get(11, 12, "f", 11, ""),
        acquire(13, 14, "g", "s2", True),
    ],
    "a lock that was taken unheard": [
        acquire(0, None, "a", "s1", None),
        acquire(2, 3, "b", "s2", False),
        release(4, 5, "c", "s1", True),
        acquire(6, 7, "d", "s2", True),
    ],
    "two that timed out, each used once": [
        put(0, 1, "a"),
        get(1.5, 1.6, "a", 1),
        put(2, None, "x"),
        put(2, None, "y"),
        cas(3, 4, "b", 1, False),
        put(5, 6, "c"),
        get(6.5, 6.6, "c", 9),
        cas(7, 8, "d", 9, False),
    ],
}

BAD: dict[str, tuple[str, list[Operation]]] = {
    "a stale read": ("no order", [put(0, 1, "a"), put(2, 3, "b"), get(4, 5, "a", 5)]),
    "a read that goes back": ("no order", [put(0, 1, "a"), put(2, 9, "b"), get(3, 4, "b", 6), get(5, 6, "a", 5)]),
    "a lost update": ("no order", [put(0, 1, "a"), get(2, 3, None)]),
    "two cas with one index": (
        "no order",
        [put(0, 1, "a"), get(2, 3, "a", 5), cas(4, 9, "b", 5, True), cas(4, 9, "c", 5, True)],
    ),
    "applied twice": (
        "applied twice",
        [put(0, None, "a"), get(1, 2, "a", 5), put(3, 4, "b"), get(5, 6, "a", 8)],
    ),
    "it came back": ("no order", [put(0, None, "a"), get(1, 2, "a", 5), delete(3, 4), get(5, 6, "a", 5)]),
    "a value nobody wrote": ("nobody wrote", [get(0, 1, "ghost", 3)]),
    "a value before it was written": ("before it was written", [get(0, 1, "a", 3), put(2, 3, "a")]),
    "a cas that should have failed": (
        "no order",
        [put(0, 1, "a"), get(2, 3, "a", 5), put(4, 5, "b"), cas(6, 7, "c", 5, True)],
    ),
    "a cas that should not have failed": ("no order", [put(0, 1, "a"), get(2, 3, "a", 5), cas(4, 5, "c", 5, False)]),
    "the value of a refused cas": ("refused", [put(0, 1, "a"), cas(2, 3, "b", 0, False), get(4, 5, "b", 6)]),
    "cas=0 on a key that is there": ("no order", [put(0, 1, "a"), cas(2, 3, "b", 0, True)]),
    "two values under one index": (
        "two values",
        [put(0, 1, "a"), put(0, 1, "b"), get(2, 3, "a", 5), get(2, 3, "b", 5)],
    ),
    "indexes against time": ("no order", [put(0, 1, "a"), put(2, 3, "b"), get(0.5, 3.5, "a", 9), get(3, 4, "b", 8)]),
    "a lock held twice": ("no order", [acquire(0, 1, "a", "s1", True), acquire(2, 3, "b", "s2", True)]),
    "a lock lost": ("no order", [acquire(0, 1, "a", "s1", True), get(2, 3, "a", 5, "")]),
    "a release by another": ("no order", [acquire(0, 1, "a", "s1", True), release(2, 3, "b", "s2", True)]),
    "one that timed out used twice": (
        "no order",
        [
            put(0, 1, "a"),
            get(1.5, 1.6, "a", 1),
            put(2, None, "x"),
            cas(3, 4, "b", 1, False),
            put(5, 6, "c"),
            get(6.5, 6.6, "c", 9),
            cas(7, 8, "d", 9, False),
        ],
    ),
    "a write that timed out but happened before it was asked": (
        "no order",
        [put(0, 1, "a"), get(2, 3, "a", 4), cas(4, 5, "c", 4, False), put(6, None, "b")],
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_history_passes(name: str) -> None:
    assert check(GOOD[name]).problems == []


@pytest.mark.parametrize("name", BAD)
def test_a_bad_history_is_refused(name: str) -> None:
    reason, history = BAD[name]
    problems = check(history).problems
    assert len(problems) == 1
    assert reason in problems[0]


def test_keys_are_apart() -> None:
    verdict = check([put(0, 1, "a"), get(2, 3, "a", 5), put(0, 1, "b", key="other")])
    assert (verdict.ok, verdict.keys, verdict.operations) == (True, 2, 3)


def test_stale_reads_are_left_to_their_own_check() -> None:
    assert check([put(0, 1, "a"), put(2, 3, "b"), get(4, 5, "a", 5, mode="stale")]).ok


def test_a_value_written_twice_is_a_mistake_of_the_harness() -> None:
    with pytest.raises(ValueError, match="unique"):
        check([put(0, 1, "a"), put(2, 3, "a")])


class TestStale:
    def read(self, start: float, key: str, value: str | None, index: int, *, server: str = "s1", life: int = 0) -> Any:
        seen = None if value is None else Seen(value, index)
        return Operation(
            "get", key, start, start + 1, seen=seen, mode="stale", server=server, life=life, store_index=index
        )

    def test_old_values_are_fine_as_long_as_none_goes_back(self) -> None:
        rows = [self.read(0, "a", "x", 4), self.read(2, "a", "x", 4), self.read(4, "a", None, 6)]
        verdict = check_stale(rows)
        assert (verdict.problems, verdict.operations) == ([], 3)

    def test_going_back_is_refused(self) -> None:
        (problem,) = check_stale([self.read(0, "a", "y", 5), self.read(2, "a", "x", 4)]).problems
        assert "went back" in problem

    def test_so_is_going_back_in_another_key(self) -> None:
        elsewhere = self.read(0, "b", "new", 5, server="s2")
        (problem,) = check_stale([elsewhere, self.read(0, "a", "y", 9), self.read(2, "b", "old", 4)]).problems
        assert "lacks the write of index 5" in problem

    def test_beside_each_other_is_no_order(self) -> None:
        assert check_stale([self.read(0, "a", "y", 5), self.read(0.5, "a", "x", 4)]).ok

    @pytest.mark.parametrize("other", [{"server": "s2"}, {"life": 1}])
    def test_another_process_is_another_story(self, other: dict[str, Any]) -> None:
        assert check_stale([self.read(0, "a", "y", 5), self.read(2, "a", "x", 4, **other)]).ok


def test_a_history_is_kept_in_a_file(tmp_path: Path) -> None:
    history = [row for rows in GOOD.values() for row in rows]
    save(history, tmp_path / "history")
    assert load(tmp_path / "history") == history
    (tmp_path / "other").write_text('{"a": 1}\n')
    with pytest.raises(ValueError, match="not a history"):
        load(tmp_path / "other")


# -- executions that did happen, seen through windows of time


class Truth:
    """A register that is right, and what each request was told."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.index = 10
        self.entry: Seen | None = None
        self.indexes = [0]

    def run(self, at: float, number: int, *, locks: bool) -> Operation:
        """One request that takes effect at `at`."""
        kinds = ("put", "get", "get", "cas", "delete", "delete-cas")
        kind = self.rng.choice((*kinds, "acquire", "release", "acquire", "release") if locks else kinds)
        row = Operation(kind, "k", at, at, value=f"v{number}" if kind not in ("get", "delete", "delete-cas") else "")
        entry = self.entry
        if kind == "get":
            row.seen = entry
            if entry is not None:
                self.indexes.append(entry.modify_index)
            return row
        if kind in ("cas", "delete-cas"):
            row.index = self.rng.choice(self.indexes[-2:])
            here = entry.modify_index if entry is not None else 0
            row.ok = row.index == here or (kind == "delete-cas" and entry is None)
        elif kind in ("acquire", "release"):
            row.session = self.rng.choice(("s1", "s2"))
            holder = entry.session if entry is not None else ""
            row.ok = holder in ("", row.session) if kind == "acquire" else holder == row.session
        else:
            row.ok = True
        if row.ok:
            self.index += 1
            if kind in ("delete", "delete-cas"):
                self.entry = None
            else:
                holder = entry.session if entry is not None else ""
                session = {"acquire": row.session, "release": ""}.get(kind, holder)
                self.entry = Seen(row.value, self.index, session)
        return row


def execution(rng: random.Random, length: int, *, overlap: float, unknown: float, locks: bool) -> list[Operation]:
    truth = Truth(rng)
    rows = []
    for number in range(length):
        row = truth.run(float(number), number, locks=locks)
        row.invoked -= rng.random() * overlap
        row.returned = number + rng.random() * overlap
        if row.kind != "get" and rng.random() < unknown:
            row.returned = row.ok = None
        rows.append(row)
    for number in range(length, length + int(length * unknown)):  # asked, and never happened
        at = rng.random() * length
        rows.append(Operation(rng.choice(("put", "delete", "cas")), "k", at, None, value=f"v{number}"))
        if rows[-1].kind == "delete":
            rows[-1].value = ""
    return rows


executions = st.builds(
    execution,
    st.randoms(use_true_random=False),
    st.integers(1, 40),
    overlap=st.sampled_from((0.2, 1.5, 4.0)),
    unknown=st.sampled_from((0.0, 0.1, 0.4)),
    locks=st.booleans(),
)


@settings(max_examples=200, deadline=None)
@given(executions)
def test_what_did_happen_is_accepted(history: list[Operation]) -> None:
    assert check(history).problems == []


@settings(max_examples=150, deadline=None)
@given(st.randoms(use_true_random=False), st.booleans())
def test_one_wrong_answer_is_refused(rng: random.Random, locks: bool) -> None:
    """One after the other and all known, each answer is the only right one."""
    history = execution(rng, 25, overlap=0.4, unknown=0.0, locks=locks)
    wrong = rng.choice([number for number, row in enumerate(history) if row.kind not in ("put", "delete")] or [-1])
    if wrong < 0:
        return
    row = history[wrong]
    if row.kind == "get":
        others: list[Seen | None] = [one.seen for one in history if one.kind == "get" and one.seen != row.seen]
        if not others:
            return
        history[wrong] = replace(row, seen=rng.choice(others))
    else:
        history[wrong] = replace(row, ok=not row.ok)
    assert not check(history).ok


def every_order(history: list[Operation]) -> bool:
    """The definition, by trying: some of the unknown writes, in some order true to time, with every answer right."""
    known = [row for row in history if row.kind == "get" or row.ok is not None]
    unknown = [row for row in history if row.kind != "get" and row.ok is None]
    return any(
        any(map(right, orders([*known, *chosen])))
        for count in range(len(unknown) + 1)
        for chosen in itertools.combinations(unknown, count)
    )


def orders(rows: list[Operation]) -> Iterator[tuple[Operation, ...]]:
    """All that are true to time: the next one is any that was asked before each of the others had returned."""
    if not rows:
        yield ()
    for number, row in enumerate(rows):
        others = rows[:number] + rows[number + 1 :]
        if all(other.returned is None or row.invoked <= other.returned for other in others):
            for rest in orders(others):
                yield (row, *rest)


def right(order: tuple[Operation, ...]) -> bool:
    """Whether a register gives these answers in this order; it learns the index of each write from the reads."""
    entry: tuple[str, str] | None = None  # value, session
    index_of = {row.seen.value: row.seen.modify_index for row in order if row.seen is not None}
    if len({row.seen for row in order if row.seen is not None and not row.seen.session}) > len(set(index_of.values())):
        return False
    last = 0
    for row in order:
        here = 0 if entry is None else index_of.get(entry[0], -1)
        if row.kind == "get":
            if (entry is None) != (row.seen is None) or (row.seen and entry != (row.seen.value, row.seen.session)):
                return False
            continue
        holder = "" if entry is None else entry[1]
        able = {
            "put": True,
            "delete": True,
            "cas": row.index == here,
            "delete-cas": entry is None or row.index == here,
            "acquire": holder in ("", row.session),
            "release": holder == row.session,
        }[row.kind]
        if row.ok is not None and able != row.ok:
            return False
        if able:
            if row.kind in ("delete", "delete-cas"):
                entry = None
                continue
            entry = (row.value, {"acquire": row.session, "release": ""}.get(row.kind, holder))
            index = index_of.get(row.value)
            if index is not None:
                if index <= last:
                    return False
                last = index
    return True


@settings(max_examples=300, deadline=None)
@given(st.randoms(use_true_random=False), st.booleans(), st.integers(2, 6))
def test_it_says_what_trying_every_order_says(rng: random.Random, locks: bool, length: int) -> None:
    history = execution(rng, length, overlap=2.5, unknown=0.3, locks=locks)[: length + 1]
    reads = [number for number, row in enumerate(history) if row.kind == "get"]
    if reads and rng.random() < 0.6:  # often wrong, sometimes only differently right
        number = rng.choice(reads)
        values: list[Seen | None] = [None, *(row.seen for row in history if row.kind == "get")]
        history[number] = replace(history[number], seen=rng.choice(values))
    elif rng.random() < 0.6:
        number = rng.randrange(len(history))
        if history[number].ok is not None:
            history[number] = replace(history[number], ok=not history[number].ok)
    if any(row.kind in ("put", "delete") and row.ok is False for row in history):
        return
    assert check(history).ok == every_order(history)


def test_long_histories_are_decided_quickly() -> None:
    """Not by the clock: by the number of steps (14 for each request here, with waits for unlucky stretches)."""
    steps = _steps(lambda: check(execution(random.Random(1), 4000, overlap=3.0, unknown=0.02, locks=True)))
    assert steps < 4000 * 200


def _steps(work: Callable[[], Any]) -> int:
    from meshtest.linearizability import checker

    count = 0
    inner_step, inner_loose = checker.step, checker.loose_step

    def counted(*args: Any) -> Any:
        nonlocal count
        count += 1
        return inner_step(*args)

    def counted_loose(*args: Any) -> Any:
        nonlocal count
        count += 1
        return inner_loose(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checker, "step", counted)
        patch.setattr(checker, "loose_step", counted_loose)
        assert work().ok
    return count


def test_a_summary_counts_kinds_and_outcomes() -> None:
    assert summary([put(0, 1, "a"), put(0, None, "b"), get(1, 2, "a", 3)]) == (
        "get answered 1, put answered 1, put unknown 1"
    )

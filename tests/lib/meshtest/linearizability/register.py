"""What one move does to one key: Consul's rules for put, compare-and-set, delete and locks.

Source: Consul's KV API ("cas", "acquire", "release" of PUT, "cas" of DELETE). A state is (value, session that holds the
lock); `ModifyIndex` is named by the value, because values are unique. Sessions do not end in these histories: the end
of one frees locks without writing a value.
"""

from __future__ import annotations

from meshtest.linearizability.preparing import MISSING, WILD, Loose, Move

State = tuple[int, str]
EMPTY: State = (MISSING, "")


def step(state: State, move: Move) -> State | None:
    """The state behind `move`, None when its answer cannot be had here."""
    value, holder = state
    kind = move.kind
    if kind == "get":
        return state if value == move.value and holder == move.session else None
    if kind == "put":
        return (move.value, holder)
    if kind == "delete":
        return EMPTY
    if kind == "cas":
        if (value == move.expected) != move.ok:
            return None
        return (move.value, holder) if move.ok else state
    if kind == "delete-cas":  # a key that is not there is deleted already
        if (value in (MISSING, move.expected)) != move.ok:
            return None
        return EMPTY if move.ok else state
    if kind == "acquire":
        if (holder in ("", move.session)) != move.ok:
            return None
        return (move.value, move.session) if move.ok else state
    if kind == "release":
        if (holder == move.session) != move.ok:
            return None
        return (move.value, "") if move.ok else state
    raise ValueError(f"no such move: {kind}")


def loose_step(state: State, loose: Loose) -> State | None:
    """The state behind a write of unknown outcome that nobody saw; None when it changes nothing."""
    value, holder = state
    kind = loose.kind
    if kind == "put":
        after = (WILD, holder)
    elif kind == "cas":
        after = (WILD, holder) if value == loose.expected else state
    elif kind == "delete":
        after = EMPTY
    elif kind == "delete-cas":
        after = EMPTY if value == loose.expected else state
    elif kind == "acquire":
        after = (WILD, loose.session) if holder in ("", loose.session) else state
    elif kind == "release":
        after = (WILD, "") if holder == loose.session else state
    else:
        raise ValueError(f"no such move: {kind}")
    return None if after == state else after

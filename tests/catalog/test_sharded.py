"""Whatever is done with it, it holds what a dict would hold."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from meshagent.catalog.sharded import SHARDS, ShardedDict

KEYS = st.one_of(st.text(max_size=2), st.binary(max_size=2))
STEPS = st.lists(st.tuples(st.sampled_from(["set", "delete", "pop", "get", "clear"]), KEYS, st.integers()), max_size=80)


@given(STEPS)
def test_it_is_a_dict(steps: list[tuple[str, Any, int]]) -> None:
    table, model = ShardedDict[Any, int](), dict[Any, int]()
    for what, key, number in steps:
        if what == "set":
            table[key] = model[key] = number
        elif what == "delete" and key in model:
            del table[key], model[key]
        elif what == "clear" and number % 7 == 0:
            list(table.let_go())
            model.clear()
        else:
            assert table.pop(key, None) == model.pop(key, None) if what == "pop" else table.get(key) == model.get(key)
        assert (key in table) == (key in model)
        assert len(table) == len(model)
    assert dict(table) == dict(table.items()) == dict(table.each_item()) == model
    assert sorted(table.each_value()) == sorted(model.values())
    for key in model:
        assert table[key] == model[key]


def test_a_key_that_is_not_there() -> None:
    table = ShardedDict([("a", 1)])
    assert table.get("b", 7) == 7
    for refuse in (lambda: table["b"], lambda: table.__delitem__("b"), lambda: table.pop("b")):
        try:
            refuse()
        except KeyError:
            continue
        raise AssertionError("no KeyError")


def test_the_parts_are_alike_in_size() -> None:
    """Mutation: `SHARDS` is a power of two and the low bits choose: each part's keys collide in it."""
    table = ShardedDict((f"app/{number % 97}/key-{number:07d}", number) for number in range(100_000))
    sizes = [len(shard) for shard in table._shards]
    assert max(sizes) < 2 * 100_000 / SHARDS
    assert SHARDS % 2, "the low bits of a hash are for the part itself"


def test_it_is_let_go_of_in_small_steps() -> None:
    table = ShardedDict((number, None) for number in range(100_000))
    left = [sum(map(len, table._shards)) for _ in table.let_go()]
    assert left[-1] == 0
    assert max(before - after for before, after in zip([100_000, *left], left, strict=False)) < 2 * 100_000 / SHARDS

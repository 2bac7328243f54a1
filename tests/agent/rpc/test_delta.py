from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.rpc.delta import apply, digest, same_ends
from meshagent.errors import RemoteProtocolError


@given(st.text("ab", max_size=60), st.text("ab", max_size=60))
def test_a_difference_gives_the_new_body(left: str, right: str) -> None:
    old, new = left.encode(), right.encode()
    prefix, suffix = same_ends(old, new)
    assert prefix + suffix <= min(len(old), len(new))
    assert apply(old, prefix, suffix, new[prefix : len(new) - suffix]) == new
    if old != new and prefix < min(len(old), len(new)):
        assert old[:prefix] == new[:prefix]
        assert old[prefix] != new[prefix]


@pytest.mark.parametrize(
    ("old", "new", "ends"),
    [
        (b"[a,b,c]", b"[a,x,c]", (3, 3)),
        (b"[]", b"[a]", (1, 1)),
        (b"aaa", b"aaaa", (3, 0)),
        (b"", b"abc", (0, 0)),
        (b"abc", b"", (0, 0)),
        (b"same", b"same", (4, 0)),
    ],
)
def test_examples(old: bytes, new: bytes, ends: tuple[int, int]) -> None:
    assert same_ends(old, new) == ends


@pytest.mark.parametrize(("prefix", "suffix"), [(3, 1), (4, 0), (0, 4), (-1, 0), (0, -1)])
def test_more_than_there_is_is_refused(prefix: int, suffix: int) -> None:
    with pytest.raises(RemoteProtocolError, match="keeps"):
        apply(b"abc", prefix, suffix, b"")


def test_digests_tell_bodies_apart() -> None:
    assert digest(b"a") != digest(b"b")
    assert len(digest(b"")) == 8

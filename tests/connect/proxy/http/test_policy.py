"""Edits of headers: remove, set in place of all of a name, add behind them."""

from __future__ import annotations

from meshagent.connect.proxy.http.policy import NO_EDITS, HeaderEdits


def test_edits() -> None:
    edits = HeaderEdits(add=((b"a", b"9"),), set=((b"b", b"8"),), remove=frozenset({b"c"}))
    headers = [(b"a", b"1"), (b"b", b"2"), (b"b", b"3"), (b"c", b"4")]
    assert edits.apply(headers) == [(b"a", b"1"), (b"b", b"8"), (b"a", b"9")]
    assert len(headers) == 4
    assert edits
    assert not NO_EDITS

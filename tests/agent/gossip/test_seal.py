from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meshtest.gossipgolden import Ring

from meshagent.agent.gossip.drops import Drop, Dropped
from meshagent.agent.gossip.keyring import Keyring
from meshagent.agent.gossip.seal import MIN_SEALED_BYTES, NoKeys, Seal

OLD, NEW = b"o" * 16, b"n" * 32


def seal(*keys: bytes, version: int = 1) -> Seal:
    return Seal(Ring(*keys), lambda: os.urandom(12), crypto_version=version)


@given(st.binary(max_size=100), st.binary(max_size=20), st.sampled_from([0, 1]), st.sampled_from([16, 24, 32]))
def test_what_is_sealed_opens(plain: bytes, aad: bytes, version: int, size: int) -> None:
    one = seal(b"k" * size, version=version)
    sealed = one.seal(plain, aad)
    assert len(sealed) == one.sealed_size(len(plain)) <= len(plain) + one.overhead
    assert sealed[0] == version
    assert seal(b"k" * size).open(sealed, aad) == plain


def test_any_key_of_the_ring_opens() -> None:
    sealed = seal(OLD).seal(b"x", b"")
    assert seal(NEW, OLD).open(sealed, b"") == b"x"
    with pytest.raises(Dropped) as refused:
        seal(NEW).open(sealed, b"")
    assert refused.value.drop is Drop.DECRYPT


def test_a_changed_ring_is_noticed() -> None:
    ring = Keyring([OLD])
    one = Seal(ring, lambda: os.urandom(12))
    assert one.open(one.seal(b"x", b""), b"") == b"x"
    ring.install(NEW)
    ring.use(NEW)
    assert seal(NEW).open(one.seal(b"x", b""), b"") == b"x"


def test_another_label_does_not_open() -> None:
    sealed = seal(OLD).seal(b"x", b"blue")
    with pytest.raises(Dropped):
        seal(OLD).open(sealed, b"red")


@pytest.mark.parametrize("sealed", [b"", b"\1" * (MIN_SEALED_BYTES - 1), b"\2" * 60])
def test_what_cannot_be_sealed_is_refused(sealed: bytes) -> None:
    with pytest.raises(Dropped) as refused:
        seal(OLD).open(sealed, b"")
    assert refused.value.drop is Drop.PLAIN


def test_padding_is_not_trusted() -> None:
    for plain in (b"", b"x" * 15 + b"\0", b"x" * 15 + b"\x11", b"x" * 14 + b"\1\2", b"xx\2\2"):
        sealed = b"\0" + seal(OLD).seal(plain, b"")[1:]
        with pytest.raises(Dropped, match="padding"):
            seal(OLD).open(sealed, b"")


def test_without_keys_nothing_is_sealed() -> None:
    assert not Seal(NoKeys(), bytes).enabled
    assert seal(OLD).enabled


def test_nonces_are_the_callers() -> None:
    nonces = iter([b"a" * 12, b"b" * 12])
    one = Seal(Ring(OLD), lambda: next(nonces))
    assert one.seal(b"x", b"")[1:13] == b"a" * 12
    assert one.seal(b"x", b"")[1:13] == b"b" * 12

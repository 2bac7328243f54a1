import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.gossip.keyring import MAX_KEYS, Keyring, decode_key, encode_key, format_ring, parse_ring
from meshagent.errors import BadRequest

A, B, C = bytes(range(32)), bytes(range(1, 25)), bytes(range(2, 18))


def test_the_first_key_is_the_primary_and_a_new_one_only_decrypts() -> None:
    ring = Keyring([A])
    ring.install(B)
    assert ring.keys == (A, B)
    assert ring.primary == A


def test_no_keys_is_plain_text() -> None:
    assert Keyring().primary is None


def test_a_rotation() -> None:
    ring = Keyring([A])
    versions = [ring.version]
    for step in (lambda: ring.install(C), lambda: ring.use(C), lambda: ring.remove(A)):
        step()
        versions.append(ring.version)
    assert ring.keys == (C,)
    assert versions == sorted(set(versions))


def test_doing_it_again_changes_nothing() -> None:
    ring = Keyring([A, B])
    version = ring.version
    ring.install(B)
    ring.use(A)
    ring.remove(C)
    assert (ring.keys, ring.version) == ((A, B), version)


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda ring: ring.remove(A), "Removing the primary key is not allowed"),
        (lambda ring: ring.use(C), "Requested key is not in the keyring"),
        (lambda ring: ring.install(b"short"), "key size must be 16, 24 or 32 bytes"),
    ],
)
def test_what_is_refused(act, words) -> None:
    ring = Keyring([A, B])
    with pytest.raises(BadRequest, match=words):
        act(ring)
    assert ring.keys == (A, B)


def test_the_ring_is_bounded() -> None:
    ring = Keyring(bytes([number]) * 16 for number in range(MAX_KEYS))
    with pytest.raises(BadRequest, match="already holds 64 keys"):
        ring.install(A)


def test_a_ring_file_is_what_consul_writes() -> None:
    text = b'["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=","AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcY"]'
    assert parse_ring(text) == (A, B)
    assert parse_ring(format_ring([A, B])) == (A, B)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'{"a":1}', b"[1]", b'["zz"]', b'["AAEC"]', b"\xff", b"[" * 100_000]
)
def test_a_broken_ring_file_is_refused(data: bytes) -> None:
    with pytest.raises(BadRequest):
        parse_ring(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_ring_or_refused(data: bytes) -> None:
    try:
        keys = parse_ring(data)
    except BadRequest:
        return
    assert Keyring(keys).primary == keys[0]


@given(st.sampled_from([16, 24, 32]).flatmap(lambda size: st.binary(min_size=size, max_size=size)))
def test_a_key_survives_its_text(key: bytes) -> None:
    assert decode_key(f" {encode_key(key)}\n") == key

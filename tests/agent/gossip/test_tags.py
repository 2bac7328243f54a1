import pytest
from hypothesis import given
from hypothesis import strategies as st
from meshtest.gossip import recorded

from meshagent.agent.gossip.tags import META_MAX, decode_tags, encode_tags
from meshagent.errors import LocalProtocolError, RemoteProtocolError


def recorded_tags() -> list[tuple[bytes, dict[str, str]]]:
    found = {}

    def walk(tree):
        if isinstance(tree, list):
            for part in tree:
                walk(part)
        elif isinstance(tree, dict):
            meta = tree.get("Meta")
            if isinstance(meta, dict) and "tags" in meta:
                found[meta["$hex"]] = meta["tags"]
            for part in tree.values():
                walk(part)

    for line in recorded():
        walk(line["decoded"])
    return [(bytes.fromhex(meta), tags) for meta, tags in found.items()]


RECORDED = recorded_tags()


@pytest.mark.parametrize(("meta", "tags"), RECORDED, ids=range(len(RECORDED)))
def test_tags_of_real_peers(meta: bytes, tags: dict[str, str]) -> None:
    assert decode_tags(meta) == tags
    if meta[:1] == b"\xff":
        assert encode_tags(tags) == meta  # in the order given: Go's maps have none


def test_some_are_recorded() -> None:
    assert len(RECORDED) > 5


@pytest.mark.parametrize(("meta", "role"), [(b"", ""), (b"web", "web"), (b"\x81\xa1a\xa1b", "\ufffd\ufffda\ufffdb")])
def test_without_the_mark_it_is_the_role(meta: bytes, role: str) -> None:
    assert decode_tags(meta) == {"role": role}


@pytest.mark.parametrize("meta", [b"\xff", b"\xff\x90", b"\xff\x81\x01\xa1a", b"\xff\x81\xa1a\x05", b"\xff\x82\xa1a"])
def test_what_is_no_map_of_texts_is_refused(meta: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_tags(meta)


def test_there_is_room_for_512_bytes() -> None:
    assert len(encode_tags({"a": "x" * (META_MAX - 7)})) == META_MAX
    with pytest.raises(LocalProtocolError, match="room for 512"):
        encode_tags({"a": "x" * (META_MAX - 6)})


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=20), max_size=8))
def test_tags_survive(tags: dict[str, str]) -> None:
    assert decode_tags(encode_tags(tags)) == tags


@given(st.binary(max_size=100))
def test_any_bytes_are_tags_or_refused(meta: bytes) -> None:
    try:
        decode_tags(b"\xff" + meta)
    except RemoteProtocolError:
        return

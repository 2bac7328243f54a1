from __future__ import annotations

from meshagent.agent.write_ids import current_writes, writing_as
from meshagent.ids import is_uuid


def ids(seed: bytes) -> list[object]:
    with writing_as(seed):
        writes = current_writes()
        assert writes is not None
        return [writes.next_id(), writes.next_uuid(), writes.next_id()]


def test_the_same_request_gives_the_same_ids() -> None:
    assert ids(b"a") == ids(b"a")
    assert not set(ids(b"a")) & set(ids(b"b"))
    assert len(set(ids(b"a"))) == 3


def test_what_has_no_id_gets_fresh_ones() -> None:
    assert current_writes() is None
    with writing_as(b""):
        assert current_writes() is None


def test_they_look_like_others() -> None:
    write, uuid, _ = ids(b"a")
    assert isinstance(write, bytes)
    assert len(write) == 16
    assert is_uuid(str(uuid))
    assert str(uuid)[14] == "4"

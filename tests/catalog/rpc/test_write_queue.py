"""What waits leaves in the order in which it was asked for, however its attempts fail."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from meshagent.catalog.rpc.write_queue import WriteQueue
from meshagent.catalog.rpc.writes import MAX_BATCH_BYTES, MAX_BATCH_WRITES


@dataclass
class Write:
    number: int
    command: bytes = b"12345"
    given_up: bool = False

    def done(self) -> bool:
        return self.given_up


def test_what_fails_in_any_order_goes_to_its_place() -> None:
    """Mutation: it is put in front as it comes: one by one that is the wrong way round (seed 42008 of the soak)."""
    rng = random.Random(3)
    queue, out, number = WriteQueue[Write](), list[Write](), 0
    for _ in range(300):
        if rng.random() < 0.5:
            number += 1
            queue.push(Write(number))
        elif out and rng.random() < 0.5:
            failed = out.pop(rng.randrange(len(out)))
            queue.put_back([failed])
        elif queue:
            taken = queue.take_batch()
            assert [write.number for write in taken] == sorted(write.number for write in taken)
            out += taken
        assert queue.bytes == 5 * len(queue)
    queue.put_back(out)
    assert [write.number for write in queue.take_all()] == list(range(1, number + 1))
    assert (len(queue), queue.bytes) == (0, 0)


def test_who_gave_up_is_left_out() -> None:
    queue = WriteQueue[Write]()
    for number in range(4):
        queue.push(Write(number))
    first = queue.take_batch()
    first[1].given_up = True
    queue.put_back(first[::-1])
    assert [write.number for write in queue.take_batch()] == [0, 2, 3]
    assert not queue


@pytest.mark.parametrize("size", [1, MAX_BATCH_BYTES // 3])
def test_a_batch_is_bounded(size: int) -> None:
    queue = WriteQueue[Write]()
    for number in range(2 * MAX_BATCH_WRITES if size == 1 else 5):
        queue.push(Write(number, bytes(size)))
    assert len(queue.take_batch()) == (MAX_BATCH_WRITES if size == 1 else 3)
    assert len(WriteQueue[Write]().take_batch()) == 0

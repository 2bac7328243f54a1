"""What the entries of a restore do on one server."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from meshtest.logs import History
from meshtest.sim.loop import SkewedClock, run_sim

from meshagent.catalog.raft.restorer import Restorer
from meshagent.catalog.raft.staging import CHUNK, EXCHANGE, encode_part
from meshagent.catalog.raft.state import ReplicatedState


class Slow(History):
    """Takes many steps to settle."""

    def begin_restore(self) -> Any:
        machine = self

        class Steps:
            is_whole = False

            def __init__(self) -> None:
                self.chunks: list[bytes] = []
                self.load = self.chunks.append

            def settle(self) -> Iterator[None]:
                for _ in range(5):
                    yield

            def take_place(self, *, lifted: bool = False) -> Iterator[None]:
                assert lifted
                machine.commands = self.chunks
                return iter(())

        return Steps()


def test_an_exchange_takes_as_many_turns_as_it_needs() -> None:
    machine, discarded = Slow(), list[Any]()
    state = ReplicatedState(machine)

    async def main() -> None:
        restorer = Restorer(state, SkewedClock(), random.Random(1), -1.0, discarded.append)
        assert restorer.apply(encode_part(CHUNK, b"id", 0, b"x"))
        turns = [restorer.apply(encode_part(EXCHANGE, b"id", 1)) for _ in range(6)]
        assert turns == [False] * 5 + [True]
        assert machine.commands == [b"x"]
        assert len(discarded) == restorer.exchanged == 1
        assert restorer.error is None

    run_sim(main())

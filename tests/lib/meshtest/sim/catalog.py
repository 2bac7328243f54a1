"""The real catalog as the state machine of a simulated server, with the list of numbers that the checks are made on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from meshagent.catalog.commands import KVDelete, KVSet
from meshagent.catalog.log import Restoring
from meshagent.catalog.store import Store
from meshtest.sim.cluster import Numbers

MARK = b"numbers "


class Catalog(Numbers):
    """Each number is a key; every seventh removes an earlier one, so that there are tombstones."""

    def __init__(self) -> None:
        super().__init__()
        self.store = Store()

    def apply(self, command: bytes) -> int:
        place = super().apply(command)
        number = int(command)
        if number % 7 == 0:
            self.store.execute(KVDelete(f"key/{number - 3:05d}"))
        else:
            self.store.execute(KVSet(f"key/{number:05d}", command))
        return place

    def flush(self) -> None:
        self.store.flush()

    def snapshot(self) -> Iterator[bytes]:
        return chain([MARK + chunk for chunk in super().snapshot()], self.store.snapshot())

    def restore(self, chunks: Iterable[bytes]) -> None:
        restoring = self.begin_restore()
        for chunk in chunks:
            restoring.load(chunk)
        restoring.finish()
        restoring.take_place()

    def begin_restore(self) -> Restoring:
        return _Both(self)


class _Both:
    def __init__(self, machine: Catalog) -> None:
        self._machine = machine
        self._numbers: list[bytes] = []
        self._store = machine.store.begin_restore()

    def load(self, chunk: bytes) -> None:
        if chunk.startswith(MARK):
            self._numbers.append(chunk[len(MARK) :])
        else:
            self._store.load(chunk)

    def finish(self) -> None:
        self._store.finish()

    def take_place(self, *, lifted: bool = False) -> Iterator[object]:
        Numbers.restore(self._machine, self._numbers)
        return self._store.take_place(lifted=lifted)

    def forget(self) -> Iterator[object]:
        return self._store.forget()

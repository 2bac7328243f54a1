"""What is to be told to everybody: each payload is sent a limited number of times, the least told first.

Source: memberlist's broadcast queue as recorded in the golden notes (section 10): a payload is sent
mult * ceil(log10(n + 1)) times; fewest sends first, then the longest, then the newest, and of those the first that
fits. A payload with a name replaces an older one of that name. What may change here: how it is kept; not the order,
which convergence figures rest on.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from sortedcontainers import SortedKeyList

__all__ = ["TransmitQueue", "transmit_limit"]


def transmit_limit(mult: int, nodes: int) -> int:
    """How often one payload is sent in a pool of `nodes`."""
    return mult * math.ceil(math.log10(nodes + 1))


class _Item:
    __slots__ = ("ended", "key", "name", "payload", "serial", "size")

    def __init__(self, payload: bytes, name: str | None, serial: int, ended: Callable[[], None] | None) -> None:
        self.payload = payload
        self.size = len(payload)
        self.name = name
        self.serial = serial
        self.ended = ended
        self.key = (0, -self.size, -serial)


class TransmitQueue:
    """Payloads that wait for room in packets."""

    def __init__(self, mult: int) -> None:
        self.mult = mult
        self._items: SortedKeyList = SortedKeyList(key=_key)
        self._named: dict[str, _Item] = {}
        self._serial = 0

    def __len__(self) -> int:
        return len(self._items)

    def add(self, payload: bytes, name: str | None = None, ended: Callable[[], None] | None = None) -> None:
        """Tell `payload`; it replaces an untold one of the same `name`.

        `ended` is called once: when it has been sent as often as it is to be, or was replaced or dropped.
        """
        if name is not None:
            self.drop(name)
        self._serial += 1
        item = _Item(payload, name, self._serial, ended)
        if name is not None:
            self._named[name] = item
        self._items.add(item)

    def drop(self, name: str) -> None:
        """Tell the payload of that name no more."""
        item = self._named.pop(name, None)
        if item is not None:
            self._items.remove(item)
            if item.ended is not None:
                item.ended()

    def take(self, overhead: int, limit: int, nodes: int) -> list[bytes]:
        """Payloads for one packet: each counts `overhead` bytes more, together at most `limit`; `nodes` in the pool."""
        items = self._items
        if not items:
            return []
        most = transmit_limit(self.mult, nodes)
        taken: list[bytes] = []
        again: list[_Item] = []
        done: list[_Item] = []
        room = limit - overhead
        told = items[0].key[0]
        last = items[-1].key[0]
        while told <= last and room > 0:
            at = items.bisect_key_left((told, -room, -self._serial - 1))
            if at == len(items) or (item := items[at]).key[0] != told:
                told += 1
                continue
            del items[at]
            taken.append(item.payload)
            room -= overhead + item.size
            if told + 1 >= most:
                done.append(item)
            else:
                item.key = (told + 1, -item.size, -item.serial)
                again.append(item)
        items.update(again)
        for item in done:
            if item.name is not None:
                del self._named[item.name]
            if item.ended is not None:
                item.ended()
        return taken

    def prune(self, most: int) -> int:
        """Keep at most `most` payloads, those told least; how many were dropped."""
        dropped = 0
        while len(self._items) > most:
            item = self._items.pop()
            dropped += 1
            if item.name is not None:
                del self._named[item.name]
            if item.ended is not None:
                item.ended()
        return dropped


def _key(item: _Item) -> tuple[int, int, int]:
    return item.key

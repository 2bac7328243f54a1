"""Virtual addresses of mesh services: 240.0.0.1 upward in 240.0.0.0/4, freed ones handed out again.

Source: surface row M5. Part of the replicated state: assigning is deterministic (lowest freed first).
"""

from __future__ import annotations

import heapq
import ipaddress

__all__ = ["VirtualIPs"]

_BASE = int(ipaddress.IPv4Address("240.0.0.0"))
_SIZE = 2**28 - 2


class VirtualIPs:
    """Which service has which offset from 240.0.0.0."""

    def __init__(self) -> None:
        self.offsets: dict[str, int] = {}
        self._next = 1
        self._free: list[int] = []

    def get(self, name: str) -> str | None:
        """The address of a service (lower-case name), or None."""
        offset = self.offsets.get(name)
        return None if offset is None else str(ipaddress.IPv4Address(_BASE + offset))

    def assign(self, name: str) -> str:
        """The address of a service, given now if it has none."""
        offset = self.offsets.get(name)
        if offset is None:
            if self._free:
                offset = heapq.heappop(self._free)
            else:
                offset = self._next
                self._next = self._next % _SIZE + 1
            self.offsets[name] = offset
        return str(ipaddress.IPv4Address(_BASE + offset))

    def release(self, name: str) -> None:
        """Free the address of a service, if it has one."""
        offset = self.offsets.pop(name, None)
        if offset is not None:
            heapq.heappush(self._free, offset)

    def load(self, offsets: dict[str, int]) -> None:
        """Fill from a snapshot; every offset below the highest that nobody holds is free."""
        self.offsets = dict(offsets)
        self._next = max(offsets.values(), default=0) + 1
        held = set(offsets.values())
        self._free = [offset for offset in range(1, self._next) if offset not in held]

    def memento(self) -> tuple[dict[str, int], int, list[int]]:
        """All that is known now, for `rewind`."""
        return dict(self.offsets), self._next, list(self._free)

    def rewind(self, memento: tuple[dict[str, int], int, list[int]]) -> None:
        """Be again as at `memento`."""
        self.offsets, self._next, self._free = memento

"""Virtual addresses of mesh services: 240.0.0.1 upward in 240.0.0.0/4, freed ones handed out again.

Beside them a service may have manual ones, which somebody else gives out (a Kubernetes cluster, say).

Source: surface rows M5, IN7. Part of the replicated state: assigning is deterministic (lowest freed first).
"""

from __future__ import annotations

import heapq
import ipaddress

__all__ = ["VirtualIPs"]

_BASE = int(ipaddress.IPv4Address("240.0.0.0"))
_SIZE = 2**28 - 2
Memento = tuple[dict[str, int], int, list[int], dict[str, tuple[str, tuple[str, ...]]]]


class VirtualIPs:
    """Which service has which offset from 240.0.0.0."""

    def __init__(self) -> None:
        self.offsets: dict[str, int] = {}
        #: Lower-case name -> the name as it was given, and its manual addresses.
        self.manual: dict[str, tuple[str, tuple[str, ...]]] = {}
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
        self.manual.pop(name, None)
        if offset is not None:
            heapq.heappush(self._free, offset)

    def set_manual(self, name: str, addresses: tuple[str, ...]) -> list[str] | None:
        """Give a service its manual addresses in place of those it had; the services that lost one of them to it.

        None: the service has no virtual address, and gets none.
        """
        lower = name.lower()
        if lower not in self.offsets:
            return None
        wanted = set(addresses)
        losers = sorted(other for other, (_, held) in self.manual.items() if other != lower and wanted & set(held))
        names = []
        for other in losers:
            shown, held = self.manual[other]
            names.append(shown)
            self._keep_manual(other, shown, tuple(address for address in held if address not in wanted))
        self._keep_manual(lower, name, addresses)
        return names

    def _keep_manual(self, lower: str, name: str, addresses: tuple[str, ...]) -> None:
        if addresses:
            self.manual[lower] = name, addresses
        else:
            self.manual.pop(lower, None)

    def load_manual(self, manual: dict[str, tuple[str, tuple[str, ...]]]) -> None:
        """Fill from a snapshot."""
        self.manual = dict(manual)

    def load(self, offsets: dict[str, int]) -> None:
        """Fill from a snapshot; every offset below the highest that nobody holds is free."""
        self.offsets = dict(offsets)
        self._next = max(offsets.values(), default=0) + 1
        held = set(offsets.values())
        self._free = [offset for offset in range(1, self._next) if offset not in held]

    def memento(self) -> Memento:
        """All that is known now, for `rewind`."""
        return dict(self.offsets), self._next, list(self._free), dict(self.manual)

    def rewind(self, memento: Memento) -> None:
        """Be again as at `memento`."""
        self.offsets, self._next, self._free, self.manual = memento

"""I/O edge: addresses at which Prometheus reads metrics, shared by the sidecars of one process.

Sidecars of a host that run in one process are mostly told one and the same address: it answers for all of them.

Source: surface row M73 (`envoy_prometheus_bind_addr`). What may change here: nothing that is seen outside.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from meshagent.connect.proxy.telemetry.admin import Admin, metrics_page
from meshagent.connect.proxy.telemetry.exposition import Scene, exposition
from meshagent.connect.proxy.telemetry.observer import Observer

__all__ = ["MetricsPlaces"]

log = logging.getLogger("proxy.admin")


class _Place:
    def __init__(self, observer: Observer) -> None:
        self.scenes: dict[object, tuple[Callable[[], Scene], Callable[[], bool]]] = {}
        self.problem = ""
        self.admin = Admin(
            {"/metrics": metrics_page(self._text), "/ready": ("text/plain", self._ready, True)}, observer
        )

    def _text(self) -> bytes:
        return exposition([scene() for scene, _ in self.scenes.values()])

    def _ready(self) -> bytes:
        return b"ready\n" if all(ready() for _, ready in self.scenes.values()) else b"not ready\n"


class MetricsPlaces:
    """By address. One of a process is enough: `SHARED`."""

    def __init__(self) -> None:
        self._places: dict[str, _Place] = {}

    async def join(
        self, owner: object, address: str, scene: Callable[[], Scene], ready: Callable[[], bool], observer: Observer
    ) -> None:
        """Have the owner's scene shown at host:port, and nowhere else; "" is nowhere."""
        for at, place in list(self._places.items()):
            if at != address and owner in place.scenes:
                self._leave(owner, at, place)
        if not address:
            return
        place = self._places.setdefault(address, _Place(observer))
        place.scenes[owner] = (scene, ready)
        if place.admin.bound:
            return
        try:
            await place.admin.listen(address)
            place.problem = ""
        except (OSError, ValueError) as error:
            if str(error) != place.problem:
                place.problem = str(error)
                log.error("metrics cannot be served: address=%s error=%s", address, error)

    def leave(self, owner: object) -> None:
        """The owner has ended."""
        for at, place in list(self._places.items()):
            if owner in place.scenes:
                self._leave(owner, at, place)

    def _leave(self, owner: object, address: str, place: _Place) -> None:
        del place.scenes[owner]
        if not place.scenes:
            place.admin.close()
            del self._places[address]


SHARED = MetricsPlaces()

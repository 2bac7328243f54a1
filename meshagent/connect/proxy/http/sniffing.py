"""Which HTTP a client speaks where nothing was agreed on: its first bytes tell.

Source: RFC 9113 section 3.4 (an HTTP/2 connection begins with a preface that no request of HTTP/1.1 begins with). What
may change here: how long nothing may come.
"""

from __future__ import annotations

from collections.abc import Callable

from meshagent.connect.proxy.http.streams import ServerCodec, Timer, Timers, Wire

__all__ = ["Sniffing"]

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#: A connection on which nothing comes is closed (as an idle one), one whose first bytes stop short much sooner.
IDLE_S = 3600.0
SHORT_S = 15.0


class Sniffing:
    """`ServerCodec` until the protocol is known: `on_known("h2" or "http/1.1")` gives the one that takes over."""

    __slots__ = ("_data", "_on_known", "_timer", "_timers", "_wire")

    def __init__(self, wire: Wire, timers: Timers, on_known: Callable[[str], ServerCodec]) -> None:
        self._wire = wire
        self._timers = timers
        self._on_known = on_known
        self._data = b""
        self._timer: Timer | None = timers.after(IDLE_S, self._give_up)

    def data_received(self, data: bytes) -> None:
        if not self._data:
            self._stop()
            self._timer = self._timers.after(SHORT_S, self._give_up)
        data = self._data + data
        if len(data) < len(_PREFACE) and _PREFACE.startswith(data):
            self._data = data
            return
        self._stop()
        self._data = b""
        self._on_known("h2" if data.startswith(_PREFACE) else "http/1.1").data_received(data)

    def eof_received(self) -> None:
        self._give_up()

    def connection_lost(self, why: str) -> None:
        self._stop()

    def writing_blocked(self) -> None:
        """Nothing was written."""

    def writing_resumed(self) -> None:
        """Nothing was written."""

    def drain(self) -> None:
        """Nothing has been asked: nothing is lost."""
        self._give_up()

    @property
    def active(self) -> int:
        """No request has come."""
        return 0

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._stop()
        self._wire.close()

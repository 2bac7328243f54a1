from __future__ import annotations

import pytest
from meshtest.h2pair import PREFACE, Pipe
from meshtest.http7 import Now

from meshagent.connect.proxy.http import sniffing
from meshagent.connect.proxy.http.sniffing import Sniffing
from meshagent.connect.proxy.http.timers import TimerWheel


class Taken:
    """What the codec that took over was given."""

    def __init__(self) -> None:
        self.now = Now()
        self.timers = TimerWheel(self.now)
        self.wire = Pipe()
        self.protocol = ""
        self.data = b""
        self.codec = Sniffing(self.wire, self.timers, self._known)

    def _known(self, protocol: str) -> Taken:  # type: ignore[override]
        assert not self.protocol
        self.protocol = protocol
        return self

    def data_received(self, data: bytes) -> None:
        self.data += data

    def feed(self, data: bytes, step: int) -> None:
        for at in range(0, len(data), step):
            (self.codec if not self.protocol else self).data_received(data[at : at + step])

    def pass_time(self, seconds: float) -> None:
        self.now.time += seconds
        self.timers.advance()


@pytest.mark.parametrize("step", [1, 5, 24, 100])
@pytest.mark.parametrize(
    ("data", "protocol"),
    [
        (PREFACE + b"more", "h2"),
        (b"GET / HTTP/1.1\r\n\r\n", "http/1.1"),
        (b"PRI / HTTP/1.1\r\n\r\n", "http/1.1"),
        (b"PUT / HTTP/1.1\r\n\r\n", "http/1.1"),
        (b"\x16\x03\x01", "http/1.1"),
    ],
)
def test_the_first_bytes_tell_and_none_is_lost(data: bytes, protocol: str, step: int) -> None:
    taken = Taken()
    taken.feed(data, step)
    assert (taken.protocol, taken.data) == (protocol, data)
    taken.pass_time(sniffing.IDLE_S + 1)
    assert not taken.wire.closed


def test_first_bytes_that_stop_short_are_not_waited_for() -> None:
    taken = Taken()
    taken.feed(PREFACE[:5], 5)
    taken.pass_time(sniffing.SHORT_S + 1)
    assert taken.wire.closed


def test_nothing_is_waited_for_as_long_as_an_idle_connection() -> None:
    taken = Taken()
    taken.pass_time(sniffing.SHORT_S + 1)
    assert not taken.wire.closed
    taken.pass_time(sniffing.IDLE_S)
    assert taken.wire.closed


@pytest.mark.parametrize("end", ["drain", "eof_received"])
def test_it_ends_where_nothing_was_asked(end: str) -> None:
    taken = Taken()
    getattr(taken.codec, end)()
    assert taken.wire.closed
    assert taken.codec.active == 0


def test_a_lost_connection_leaves_no_timer() -> None:
    taken = Taken()
    taken.codec.connection_lost("reset")
    taken.pass_time(sniffing.IDLE_S + 1)
    assert not taken.wire.closed

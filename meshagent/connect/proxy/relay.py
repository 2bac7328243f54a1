"""I/O edge: the bytes of all joined connections of a loop, moved in one callback for each turn of it.

The sockets are in an epoll of their own, which the loop watches as one descriptor: what is ready is read, sealed or
opened, and written at the end of the turn, so that who waits at the other ends is woken for several at once. A byte so
costs one read, one write, and neither a transport nor a callback of its own. What the kernel does not take is left to
the transport of the socket, whose flow control stops the other side from being read.

Events are edge-triggered. Fewer bytes than there was room for mean that the socket is empty; the next ones make an
event. An end that came with bytes makes none, so its event asks for another look.

Source: epoll(7), "Level-triggered and edge-triggered"; measured with `bench/run.py --row mesh_l4_keepalive`: a
transport of uvloop costs 2.5 us of processor time for each message above its system calls. What may change here: only
with that row and `mesh_l4_bulk`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import weakref
from typing import TYPE_CHECKING, TypeAlias

from meshagent.connect.proxy.layers.tls import (
    BUFFER_BYTES,
    CIPHER,
    CIPHER_POINTER,
    IN,
    PLAIN_POINTER,
    Tls,
    unpack,
)
from meshagent.errors import RemoteProtocolError

if TYPE_CHECKING:
    from meshagent.connect.proxy.pump import Side

__all__ = ["Relay", "relay_of"]

_IN = select.EPOLLIN
_MASK = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
#: Events of one turn: what they bring waits in memory until its end.
_TURN_EVENTS = 128
#: More than this is written at once, from the shared buffer.
_SMALL_BYTES = 16 * 1024

#: A side, the TLS its bytes pass, whether that is its own (they are opened) or the other's (they are sealed), and where
#: they are written: -1 where the other has TLS too, and seals them itself.
_Line: TypeAlias = "tuple[Side, Tls | None, bool, int]"


class Relay:
    """The sockets by their descriptors."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._poll = select.epoll()
        #: Those that are joined, and of them those that are read: no other side is full, none has ended.
        self._sides: dict[int, Side] = {}
        self._lines: dict[int, _Line] = {}
        self._into = [IN]
        loop.add_reader(self._poll.fileno(), self._turn)

    def add(self, fd: int, side: Side) -> None:
        """Watch a socket. It is not read before `read`."""
        self._sides[fd] = side
        self._poll.register(fd, _MASK)

    def read(self, fd: int, to: int) -> None:
        """Read the socket from now on; its bytes go to the socket `to`."""
        side = self._sides.get(fd)
        if side is None or side.other is None:
            return
        own = side.tls is not None
        both = own and side.other.tls is not None
        self._lines[fd] = (side, side.tls if own else side.other.tls, own, -1 if both else to)
        self._poll.modify(fd, _MASK)  # what came meanwhile made its event already

    def hold(self, fd: int) -> None:
        """Read the socket no more, until `read`."""
        self._lines.pop(fd, None)

    def remove(self, fd: int) -> None:
        """The socket is about to be closed."""
        self._lines.pop(fd, None)
        if self._sides.pop(fd, None) is not None:
            with contextlib.suppress(OSError):
                self._poll.unregister(fd)

    # --- inside ------------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        line_of, readv, into = self._lines.get, os.readv, self._into
        out: list[tuple[int, bytes]] = []
        for fd, event in self._poll.poll(0, _TURN_EVENTS):
            line = line_of(fd)
            if line is None:
                continue
            side, tls, own, to = line
            try:
                size = readv(fd, into)
            except BlockingIOError:
                continue
            except OSError as error:
                side.lost(error)
                continue
            if size == 0:
                side.ended()
                continue
            if event != _IN or size == BUFFER_BYTES:
                self._poll.modify(fd, _MASK)  # there may be more, or an end behind it
            try:
                if own and tls is not None:
                    found = tls.take(size)
                    if found >= _SMALL_BYTES or tls.eof or to < 0:
                        side.pour(found)
                    elif found:
                        side.read_bytes += found
                        out.append((to, unpack(PLAIN_POINTER, found)))
                else:
                    side.read_bytes += size
                    if tls is None:
                        self._write(to, IN, size)
                    elif (found := tls.give(size)) < _SMALL_BYTES:
                        out.append((to, unpack(CIPHER_POINTER, found)))
                    else:
                        self._write(to, CIPHER, found)
            except RemoteProtocolError as error:
                side.broken(str(error))
        write = os.write
        for to, data in out:
            try:
                taken = write(to, data)
            except OSError:  # full, or lost: the transport finds out which
                taken = 0
            if taken != len(data):
                self._write(to, memoryview(data)[taken:], len(data) - taken)

    def _write(self, to: int, view: memoryview, size: int) -> None:
        side = self._sides.get(to)
        if side is not None:
            side.put(view, size)


_relays: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Relay] = weakref.WeakKeyDictionary()


def relay_of(loop: asyncio.AbstractEventLoop) -> Relay:
    """The one of this loop."""
    found = _relays.get(loop)
    if found is None:
        found = _relays[loop] = Relay(loop)
    return found

"""The shape of every protocol core: events in, commands out, no I/O, no clock.

A machine is a plain object with `handle(event, now) -> list[Command]`. Time (`now`, monotonic seconds) and chance
(`random.Random`) are arguments, so a whole cluster runs under a virtual clock from one seed. A timer is a command:
`SetTimer(name, at)` asks for one (setting it again replaces it), `TimerFired(name)` comes back as an event. A machine
logs with `Log`, so that a test can assert what was said. The rooms add their own events and commands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

__all__ = ["CancelTimer", "Command", "Event", "Log", "Machine", "SetTimer", "TimerFired"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened outside."""


@dataclass(frozen=True, slots=True)
class Command:
    """Something the machine wants done outside."""


@dataclass(frozen=True, slots=True)
class TimerFired(Event):
    """The timer `name` reached its moment."""

    name: str


@dataclass(frozen=True, slots=True)
class SetTimer(Command):
    """Fire `TimerFired(name)` at monotonic second `at`; replaces a timer of the same name."""

    name: str
    at: float


@dataclass(frozen=True, slots=True)
class CancelTimer(Command):
    """Forget the timer `name`."""

    name: str


@dataclass(frozen=True, slots=True)
class Log(Command):
    """A log line: `level` as in `logging` (20 info, 30 warning)."""

    level: int
    message: str


E_contra = TypeVar("E_contra", contravariant=True)
C_co = TypeVar("C_co", covariant=True)


class Machine(Protocol, Generic[E_contra, C_co]):
    """A protocol core."""

    def handle(self, event: E_contra, now: float) -> Sequence[C_co]:
        """Take one event at monotonic second `now`; return what is to be done, in order."""

"""I/O edge: OS service checks: what systemd says of a unit.

Source: surface row K18; org.freedesktop.systemd1 (freedesktop.org/software/systemd/man, "org.freedesktop.systemd1"),
`Manager.ListUnitsByNames`. Active passes; dead or failed (or unknown to systemd) is critical; anything between, and
trouble in asking, warns. dbus-fast speaks to the system bus, imported on the first run; one connection serves all such
checks of this agent.

What may be changed here: nothing of the wording.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Protocol

from meshagent.agent.checks.definition import Definition, or_default
from meshagent.agent.checks.probe import CRITICAL, PASSING, WARNING, Outcome, Probe, ProbeFailed, Tools

if TYPE_CHECKING:
    from dbus_fast.aio import MessageBus

__all__ = ["SystemBus", "UnitState", "UnitStates", "judge", "prepare"]

DEFAULT_TIMEOUT_S = 10.0

UnitState = tuple[str, str]
"""ActiveState and SubState: ("active", "running"), ("inactive", "dead"), ("failed", "failed")."""


class UnitStates(Protocol):
    """Who knows the state of units."""

    async def __call__(self, unit: str) -> UnitState:
        """The state of one unit.

        Raises:
            ProbeFailed: it cannot be asked for.
        """


def judge(unit: str, state: UnitState) -> Outcome:
    """The outcome for a state."""
    active, sub = state
    quoted = json.dumps(unit, ensure_ascii=False)
    if active == "active":
        return Outcome(PASSING, f"Service {quoted} is healthy")
    dead = active in ("failed", "inactive") or sub in ("dead", "failed")
    return Outcome(CRITICAL if dead else WARNING, f"Service {quoted} is {active} ({sub})")


def prepare(definition: Definition, tools: Tools) -> Probe:
    """The probe of an OS service check."""
    unit = definition.os_service
    timeout_s = or_default(definition.timeout, DEFAULT_TIMEOUT_S)

    async def probe() -> Outcome:
        try:
            async with asyncio.timeout(timeout_s):
                return judge(unit, await tools.unit_states(unit))
        except ProbeFailed as error:
            return Outcome(WARNING, str(error))
        except TimeoutError:
            return Outcome(WARNING, f"Service {json.dumps(unit, ensure_ascii=False)}: systemd did not answer in time")

    return probe


class SystemBus:
    """systemd through the system bus (or the bus at `address`); connects when first asked, again when it was lost."""

    def __init__(self, address: str | None = None) -> None:
        self._address = address
        self._bus: MessageBus | None = None
        self._connecting = asyncio.Lock()
        self._watch: asyncio.Future[None] | None = None

    async def __call__(self, unit: str) -> UnitState:
        from dbus_fast import Message, MessageType  # only when such a check runs
        from dbus_fast.errors import DBusError

        name = unit if "." in unit else f"{unit}.service"
        question = Message(
            destination="org.freedesktop.systemd1",
            path="/org/freedesktop/systemd1",
            interface="org.freedesktop.systemd1.Manager",
            member="ListUnitsByNames",
            signature="as",
            body=[[name]],
        )
        try:
            bus = await self._connected()
            reply = await bus.call(question)
        except (OSError, EOFError, DBusError) as error:
            self.close()
            raise ProbeFailed(f"cannot ask systemd about {unit}: {error}") from error
        if reply is None or reply.message_type is MessageType.ERROR:
            why = reply.body[0] if reply is not None and reply.body else "no reply"
            raise ProbeFailed(f"systemd does not tell about {unit}: {why}")
        if reply.signature != "a(ssssssouso)" or not reply.body[0]:
            raise ProbeFailed(f"systemd does not tell about {unit}: a reply of another form")
        row = reply.body[0][0]
        return str(row[3]), str(row[4])

    async def _connected(self) -> MessageBus:
        from dbus_fast import BusType
        from dbus_fast.aio import MessageBus

        async with self._connecting:
            if self._bus is None or not self._bus.connected:
                bus = MessageBus(bus_address=self._address, bus_type=BusType.SYSTEM)
                self._bus = await bus.connect()
                # A bus that ends is found out by the next question; the library's own word of it would go to the log.
                self._watch = asyncio.ensure_future(self._bus.wait_for_disconnect())  # type: ignore[no-untyped-call]
                self._watch.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
            return self._bus

    def close(self) -> None:
        """Hang up."""
        if self._bus is not None and self._bus.connected:
            self._bus.disconnect()
        self._bus = None

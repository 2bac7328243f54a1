"""The stream between two peers as a machine: what to send, what to take, when to give up. No I/O; both sides alike.

    offer(kind, id, resource)   what this side has to tell; sent once the other side subscribed, again when it changes
    received(message, now)      -> commands: Send, Take (then `taken`), Ended
    tick(now)                   -> commands; call it at least once a second

A resource that changes while it waits is sent once, as it is then; at most `WINDOW` are under way unacknowledged. One
that the other side could not take is sent again after `RETRY_S`.

Source: surface rows X37, PE3; Consul's cadence: heartbeats every 15 s, a silent stream is dropped after 2 min. What may
change here: timing, and the order of what waits.
"""

from __future__ import annotations

from dataclasses import dataclass

from meshagent.agent.peering.messages import (
    EXPORTED_SERVICE,
    EXPORTED_SERVICE_LIST,
    SERVER_ADDRESSES,
    TRUST_BUNDLE,
    UPSERT,
    Heartbeat,
    Message,
    Open,
    Packed,
    Request,
    Response,
    Status,
    Terminated,
)

__all__ = ["HEARTBEAT_S", "RETRY_S", "SILENCE_S", "WINDOW", "Command", "Ended", "PeerStream", "Send", "Take"]

HEARTBEAT_S = 15.0
SILENCE_S = 120.0
RETRY_S = 10.0
WINDOW = 32

KINDS = frozenset({EXPORTED_SERVICE, EXPORTED_SERVICE_LIST, TRUST_BUNDLE, SERVER_ADDRESSES})
_INVALID, _INTERNAL = 3, 13

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Send:
    """Write a message."""

    message: Message


@dataclass(frozen=True, slots=True)
class Take:
    """Take a resource of the other side, then tell `taken`. None: it exists no more."""

    kind: str
    id: str
    nonce: str
    resource: Packed | None


@dataclass(frozen=True, slots=True)
class Ended:
    """The stream is over. `terminated`: the other side has deleted the peering."""

    reason: str
    terminated: bool = False


Command = Send | Take | Ended


class PeerStream:
    """One stream. `peer_id` is what the other side calls this peering, "" where only it knows."""

    def __init__(self, peer_id: str, now: float, *, dials: bool) -> None:
        self._peer_id = peer_id
        self._wants = (EXPORTED_SERVICE, EXPORTED_SERVICE_LIST, TRUST_BUNDLE, *((SERVER_ADDRESSES,) if dials else ()))
        self._subscribed: set[str] = set()
        self._held: dict[Key, Packed] = {}
        self._waiting: dict[Key, None] = {}
        self._under_way: dict[str, tuple[Key, Packed]] = {}
        self._sent: dict[Key, Packed] = {}
        self._again: dict[Key, float] = {}
        self._nonce = 0
        self._heartbeat_at = now + HEARTBEAT_S
        self._heard_at = now
        self.over = False

    # --- this side ---------------------------------------------------------------------------------------------

    def start(self) -> list[Command]:
        """Subscribe to what the other side has to tell. A dialing side has sent its `Open` before."""
        return [Send(Request(peer_id=self._peer_id, kind=kind)) for kind in self._wants]

    def offer(self, kind: str, id: str, resource: Packed) -> list[Command]:
        """Tell of a resource, unless the other side has it as it is."""
        key = kind, id
        self._held[key] = resource
        self._again.pop(key, None)
        if self._sent.get(key) == resource:
            self._waiting.pop(key, None)
            return []
        self._waiting[key] = None
        return self._push()

    def terminate(self) -> list[Command]:
        """This side has deleted the peering."""
        if self.over:
            return []
        self.over = True
        return [Send(Terminated()), Ended("the peering was deleted here")]

    def taken(self, take: Take, error: str = "") -> list[Command]:
        """What was to be taken is, or is not."""
        if self.over:
            return []
        status = Status(_INTERNAL, error) if error else None
        return [Send(Request(peer_id=self._peer_id, nonce=take.nonce, kind=take.kind, error=status))]

    def tick(self, now: float) -> list[Command]:
        """Time goes on."""
        if self.over:
            return []
        if now - self._heard_at > SILENCE_S:
            return self._end(f"nothing was heard for {SILENCE_S:g} s")
        commands: list[Command] = []
        if now >= self._heartbeat_at:
            self._heartbeat_at = now + HEARTBEAT_S
            commands.append(Send(Heartbeat()))
        due = [key for key, at in self._again.items() if now >= at]
        for key in due:
            del self._again[key]
            self._waiting[key] = None
        return commands + (self._push() if due else [])

    # --- the other side ----------------------------------------------------------------------------------------

    def received(self, message: Message, now: float) -> list[Command]:
        """A message of the other side."""
        if self.over:
            return []
        self._heard_at = now
        match message:
            case Request():
                return self._requested(message, now)
            case Response():
                return self._told(message)
            case Terminated():
                self.over = True
                return [Ended("the other side has deleted the peering", terminated=True)]
            case Heartbeat():
                return []
            case Open():
                return self._end("the other side opened a stream that is open")

    def _requested(self, request: Request, now: float) -> list[Command]:
        if request.kind not in KINDS:
            return self._end(f"the other side asked for {request.kind!r}")
        if not request.nonce:
            self._subscribed.add(request.kind)
            return self._push()
        known = self._under_way.pop(request.nonce, None)
        if known is None:
            return self._end(f"the other side acknowledged {request.nonce!r}, which was not sent")
        key, resource = known
        if request.error is not None and self._sent.get(key) is resource:
            del self._sent[key]
            if key not in self._waiting:
                self._again[key] = now + RETRY_S
        return self._push()

    def _told(self, response: Response) -> list[Command]:
        if response.kind not in self._wants:
            return self._end(f"the other side told of {response.kind!r} unasked")
        resource = response.resource
        if not response.nonce or (resource is not None and resource.kind != response.kind):
            return self._end("the other side told of something without a nonce, or of another kind than it says")
        if response.operation == UPSERT and resource is None:
            return self._end("the other side told of a change without saying to what")
        return [Take(response.kind, response.id, response.nonce, resource if response.operation == UPSERT else None)]

    def _push(self) -> list[Command]:
        """Send what waits, as far as the window goes."""
        commands: list[Command] = []
        for key in [key for key in self._waiting if key[0] in self._subscribed]:
            if len(self._under_way) >= WINDOW:
                break
            del self._waiting[key]
            resource = self._held[key]
            self._nonce += 1
            nonce = f"{self._nonce:08x}"
            self._under_way[nonce] = key, resource
            self._sent[key] = resource
            commands.append(Send(Response(nonce, key[0], key[1], resource)))
        return commands

    def _end(self, reason: str) -> list[Command]:
        self.over = True
        return [Ended(reason)]

"""What one stream subscribed to of one type, what it was told of it, and what is still to be told. No I/O.

A client that does not accept a response keeps what it had, but Envoy takes what is good in it. One of several
resources is sent again in halves, so that all that is good arrives; what is not accepted alone is not sent again until
it changes.

Source: envoyproxy.io "xDS REST and gRPC protocol", incremental xDS (subscribing, wildcard, ACK and NACK). What may
change here: how rejected responses are taken apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from meshagent.connect.envoy.versioned import Versioned

__all__ = ["ABSENT", "WILDCARD", "Batch", "Subscription", "Told"]

WILDCARD = "*"
#: The client was told that there is no such resource.
ABSENT = "absent"

#: What a client holds: a resource of ours, the version of one that we do not know, or `ABSENT`.
Told = Versioned | str


@dataclass(slots=True)
class Batch:
    """A response that was sent: resources, and names of those that are gone."""

    nonce: str
    changed: dict[str, Versioned]
    removed: tuple[str, ...]


@dataclass(slots=True)
class Subscription:
    """Of one type."""

    wildcard: bool = False
    names: set[str] = field(default_factory=set)
    told: dict[str, Told] = field(default_factory=dict)
    #: The version of each that was not accepted.
    rejected: dict[str, str] = field(default_factory=dict)
    #: What stood in responses of several that were not accepted: the client may have one of these (by version).
    unsure: dict[str, dict[str, Versioned]] = field(default_factory=dict)
    #: Names that are sent together and apart from all others: halves of what was not accepted.
    groups: list[list[str]] = field(default_factory=list)
    flying: Batch | None = None
    #: The client has had an answer: a wildcard is answered even with nothing.
    answered: bool = False
    #: Removals that stood in a response that was not accepted are sent alone.
    again: set[str] = field(default_factory=set)
    _unknown: list[str] = field(default_factory=list)

    # --- requests ----------------------------------------------------------------------------------------------

    def subscribe(self, names: Iterable[str], *, first: bool, legacy: bool, versions: Mapping[str, str]) -> None:
        """Names that are wanted. A first request says which versions the client has, and with `legacy` wants all when
        it names nothing."""
        wanted = set(names)
        if WILDCARD in wanted or (first and legacy and not wanted):
            self.wildcard = True
            wanted.discard(WILDCARD)
        self.names |= wanted
        if first:
            self.told = {name: version for name, version in versions.items() if self.wants(name)}
            self._unknown = list(self.told)
            return
        for name in wanted:  # a client that asks again has forgotten it
            self.told.pop(name, None)
            self.rejected.pop(name, None)

    def unsubscribe(self, names: Iterable[str]) -> None:
        """Names that are not wanted any more: the client has let go of them itself."""
        for name in names:
            if name == WILDCARD:
                self.wildcard = False
            self.names.discard(name)
        for known in (self.told, self.unsure):
            for name in [name for name in known if not self.wants(name)]:
                known.pop(name, None)

    def wants(self, name: str) -> bool:
        """Whether the client is told of it."""
        return self.wildcard or name in self.names

    # --- answers -----------------------------------------------------------------------------------------------

    def know(self, held: Mapping[str, Versioned]) -> None:
        """Versions that the client told of are resources of ours."""
        for name in self._unknown:
            told, ours = self.told.get(name), held.get(name)
            if ours is not None and told == ours.version:
                self.told[name] = ours
        self._unknown.clear()

    def changes(self, held: Mapping[str, Versioned]) -> dict[str, Versioned]:
        """What the client has to be told of, of what there is."""
        names = held if self.wildcard else sorted(name for name in self.names if name in held)
        found: dict[str, Versioned] = {}
        for name in names:
            one, told = held[name], self.told.get(name)
            same = told is one or (isinstance(told, Versioned) and told.version == one.version)
            if same and name not in self.unsure:
                continue
            if self.rejected.get(name) != one.version:
                found[name] = one
        return found

    def removals(self, held: Mapping[str, Versioned]) -> list[str]:
        """What the client holds, or waits for, and is not there."""
        names = {name for name, told in self.told.items() if told != ABSENT and name not in held}
        names |= {name for name in self.unsure if name not in held}
        names |= {name for name in self.names if name not in held and self.told.get(name) != ABSENT}
        return sorted(names)

    def batch(self, changed: dict[str, Versioned]) -> dict[str, Versioned]:
        """Those of `changed` that are sent now: a group of them, or all that are in none."""
        while self.groups:
            group = {name: changed[name] for name in self.groups[0] if name in changed}
            if group:
                return group
            del self.groups[0]
        return changed

    # --- acknowledgements --------------------------------------------------------------------------------------

    def accepted(self) -> None:
        """The client has taken what is under way."""
        if self.flying is None:
            return
        for name, one in self.flying.changed.items():
            if self.wants(name):
                self.told[name] = one
            self.rejected.pop(name, None)
            self.unsure.pop(name, None)
        self._gone(self.flying.removed)
        self._landed()

    def refused(self) -> tuple[str, ...]:
        """The client has not taken it; the names that are given up until they change."""
        flying = self.flying
        if flying is None:
            return ()
        names = list(flying.changed)
        given_up: tuple[str, ...] = ()
        self._landed()
        if len(names) > 1:
            middle = len(names) // 2
            self.groups[:0] = [names[:middle], names[middle:]]
            for name, one in flying.changed.items():
                if self.wants(name):
                    self.unsure.setdefault(name, {})[one.version] = one
        elif names:
            name, one = names[0], flying.changed[names[0]]
            self.rejected[name] = one.version
            unsure = self.unsure.get(name, {})
            unsure.pop(one.version, None)
            if not unsure:
                self.unsure.pop(name, None)
            given_up = (name,)
        if names:
            self.again.update(flying.removed)
        else:  # a removal cannot be refused: what is not there any more is not offered again
            self._gone(flying.removed)
        return given_up

    def _gone(self, names: Iterable[str]) -> None:
        for name in names:
            self.again.discard(name)
            self.unsure.pop(name, None)
            if name in self.names:
                self.told[name] = ABSENT
            else:
                self.told.pop(name, None)

    def _landed(self) -> None:
        if self.flying is not None and self.groups:
            self.groups[0] = [name for name in self.groups[0] if name not in self.flying.changed]
        self.flying = None
        self.answered = True

"""Intentions: who may talk to whom, which rule says so, and why.

Pure: config entries and names come in, a decision with its reason goes out. Logs, metrics, answers and the proxy print
that same reason. The most exact intention decides (9 exact to exact, 8 `*` to exact, 6 exact to `*`, 5 `*` to `*`);
without one the default does. An intention with permissions decides by the request (`permissions.py`); asked for a
connection alone it denies. `audit` (ours) allows, and says that it would have denied.

Source: surface rows M26, M50-M54, CN3-CN7, A26; the decisions of a running Consul (golden mesh data,
intentions.json). What may change here: further kinds of sources.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec

from meshagent.catalog.entries.service_intentions import IntentionJWT, Permission, ServiceIntentions, Source, precedence

__all__ = [
    "Decision",
    "Default",
    "Intention",
    "decide",
    "matching",
    "may_reach",
    "of_entries",
    "of_entry",
    "providers_of",
]

#: Consul's words when nothing matches: `acl.default_policy` decided, or `default_intention_policy` did.
BY_ACLS, BY_POLICY = "Default behavior configured by ACLs", "Default intention policy"
#: Ours, when the servers deny what this agent's own configuration would allow.
BY_SERVERS = "Default of the servers"


class Intention(msgspec.Struct, frozen=True):
    """One rule. `action` is "" where `permissions` decide. `source` and `destination` may be `*`."""

    source: str
    destination: str
    action: str
    precedence: int
    permissions: tuple[Permission, ...] = ()
    jwt: IntentionJWT | None = None
    peer: str = ""
    description: str = ""
    meta: tuple[tuple[str, str], ...] = ()
    id: str = ""
    created: str = ""
    updated: str = ""
    create_index: int = 0
    modify_index: int = 0

    def covers(self, source: str, destination: str, peer: str = "") -> bool:
        """Whether it speaks of a connection. `*` is a name like others in the question."""
        return self.peer == peer and self.source in {source, "*"} and self.destination in {destination, "*"}


@dataclass(frozen=True, slots=True)
class Default:
    """What holds when no intention speaks."""

    allow: bool
    reason: str = BY_ACLS

    @classmethod
    def of(cls, acl_allows: bool, policy: str) -> Default:
        """From the default of ACLs and `default_intention_policy` ("" follows it)."""
        return cls(policy == "allow", BY_POLICY) if policy else cls(acl_allows, BY_ACLS)


@dataclass(frozen=True, slots=True)
class Decision:
    """`audited`: it was allowed only because the intention audits."""

    allowed: bool
    reason: str
    intention: Intention | None = None
    audited: bool = False


def of_entry(entry: ServiceIntentions) -> list[Intention]:
    """The intentions of an entry, as they stand in it."""
    return [_intention(entry, source) for source in entry.sources or ()]


def _intention(entry: ServiceIntentions, source: Source) -> Intention:
    meta = source.legacy_meta if source.legacy_id else entry.meta
    return Intention(
        source=source.name,
        destination=entry.name,
        action=source.action,
        precedence=source.precedence or precedence(source.name, entry.name),
        permissions=source.permissions,
        jwt=entry.jwt,
        peer=source.peer,
        description=source.description,
        meta=tuple(sorted((meta or {}).items())),
        id=source.legacy_id,
        created=source.legacy_create_time,
        updated=source.legacy_update_time,
        create_index=entry.create_index,
        modify_index=entry.modify_index,
    )


def of_entries(entries: Iterable[ServiceIntentions]) -> list[Intention]:
    """All intentions, the most exact first, then by names."""
    return sorted((one for entry in entries for one in of_entry(entry)), key=_order)


def _order(one: Intention) -> tuple[int, str, str, str]:
    return (-one.precedence, one.source, one.destination, one.peer)


def matching(get: Callable[[str], ServiceIntentions | None], destination: str) -> list[Intention]:
    """The intentions that speak of connections to a service, the most exact first. `get` finds an entry by name."""
    names = ("*",) if destination == "*" else (destination, "*")
    found = [entry for entry in map(get, names) if entry is not None]
    return of_entries(found)


def providers_of(intentions: Iterable[Intention]) -> tuple[str, ...]:
    """Names of the JWT providers that intentions ask for, each once."""
    blocks = [block for one in intentions for block in (one.jwt, *(it.jwt for it in one.permissions))]
    names = [ref.name for block in blocks if block is not None for ref in block.providers]
    return tuple(dict.fromkeys(names))


def matching_source(intentions: Iterable[Intention], source: str) -> list[Intention]:
    """Those of a list that speak of connections from a service here."""
    return [one for one in intentions if not one.peer and one.source in {source, "*"}]


def decide(
    intentions: Iterable[Intention], source: str, destination: str, default: Default, peer: str = ""
) -> Decision:
    """Whether `source` may connect to `destination`; `intentions` come the most exact first."""
    for one in intentions:
        if one.covers(source, destination, peer):
            return _decided(one)
    return Decision(default.allow, default.reason)


def may_reach(intentions: Iterable[Intention], source: str, destination: str, default: Default) -> bool:
    """Whether a connection from `source`, or some request on one, may be allowed."""
    decision = decide(intentions, source, destination, default)
    one = decision.intention
    return decision.allowed or bool(one is not None and one.permissions)


def _decided(one: Intention) -> Decision:
    names = f"default/{one.source} => default/{one.destination}"
    if one.permissions:
        reason = f"Matched L7 intention: {names} (Precedence: {one.precedence}, Permissions: {len(one.permissions)})"
        return Decision(False, reason, one)
    reason = f"Matched L4 intention: {names} (Precedence: {one.precedence}, Action: {one.action.upper()})"
    return Decision(one.action in {"allow", "audit"}, reason, one, audited=one.action == "audit")

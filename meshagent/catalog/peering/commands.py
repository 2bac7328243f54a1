"""The replicated writes of cluster peering: part of `catalog/commands.py`, where all are joined and encoded.

What may change here: tags are append-only and never reused; fields are appended with a default. `since` in the comment
is the release that added the tag.
"""

from __future__ import annotations

import msgspec

from meshagent.catalog.ca import CAKey
from meshagent.catalog.model import ServiceEntry
from meshagent.catalog.peering.model import Peering, TrustBundle

__all__ = [
    "ImportedKeep",
    "ImportedReplace",
    "PeeringActivate",
    "PeeringCommand",
    "PeeringDelete",
    "PeeringExchange",
    "PeeringPurge",
    "PeeringSet",
    "PeeringTell",
    "PeeringTerminate",
    "TrustBundleSet",
]


class PeeringSet(msgspec.Struct, frozen=True, array_like=True, tag=110):  # since 0.2
    """Write a peering, and with it a digest of a secret to establish it, or the sealed secret of a dialing side.

    Result: None. Refused when the name belongs to another id, or is being deleted.
    """

    peering: Peering
    establishment: str = ""
    own: CAKey | None = None


class PeeringExchange(msgspec.Struct, frozen=True, array_like=True, tag=111):  # since 0.2
    """Use up the establishment secret with that digest; `pending` is the digest of what was given for it.

    Result: whether it was good.
    """

    id: str
    establishment: str
    pending: str


class PeeringActivate(msgspec.Struct, frozen=True, array_like=True, tag=112):  # since 0.2
    """A stream is open: the peering is ACTIVE, and a `pending` digest that was presented becomes the active one.

    Result: whether the peering is still there and usable.
    """

    id: str
    secret: str = ""
    remote_partition: str = ""
    remote_datacenter: str = ""


class PeeringTell(msgspec.Struct, frozen=True, array_like=True, tag=113):  # since 0.2
    """The other side says where its servers are. Result: None; unknown ones are ignored."""

    id: str
    addresses: tuple[str, ...]


class PeeringDelete(msgspec.Struct, frozen=True, array_like=True, tag=114):  # since 0.2
    """Mark a peering as being deleted, at the time `at`. Result: None; an unknown one is ignored."""

    name: str
    at: str


class PeeringTerminate(msgspec.Struct, frozen=True, array_like=True, tag=115):  # since 0.2
    """The other side has deleted the peering: no secret is good any more. Result: None."""

    id: str


class PeeringPurge(msgspec.Struct, frozen=True, array_like=True, tag=116):  # since 0.2
    """Remove at most `limit` imported instances; when none is left, its roots, and a peering that is being deleted.

    Result: whether nothing is left.
    """

    id: str
    limit: int


class TrustBundleSet(msgspec.Struct, frozen=True, array_like=True, tag=117):  # since 0.2
    """Write the roots of a peer. Result: None; those of an unknown peer are ignored."""

    bundle: TrustBundle


class ImportedReplace(msgspec.Struct, frozen=True, array_like=True, tag=118):  # since 0.2
    """All instances of a service of a peer, in place of those that were known. Result: None."""

    peer: str
    service: str
    entries: tuple[ServiceEntry, ...]


class ImportedKeep(msgspec.Struct, frozen=True, array_like=True, tag=119):  # since 0.2
    """Forget every imported service of a peer that is not among `services`, at most `limit` instances.

    Result: whether all others are gone.
    """

    peer: str
    services: tuple[str, ...]
    limit: int


PeeringCommand = (
    PeeringSet
    | PeeringExchange
    | PeeringActivate
    | PeeringTell
    | PeeringDelete
    | PeeringTerminate
    | PeeringPurge
    | TrustBundleSet
    | ImportedReplace
    | ImportedKeep
)

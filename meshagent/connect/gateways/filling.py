"""What the row of a kind puts into a snapshot, beside what all proxies have.

Source: our own. What may change here: fields are added with a default.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from meshagent.connect.chain import Target
from meshagent.connect.snapshot import Cluster, Gateway, Inbound, Outbound
from meshagent.connect.transparent import Transparent

__all__ = ["Filling"]


@dataclass(frozen=True, slots=True)
class Filling:
    """`targets` are those whose instances are wanted; `providers` the JWT providers that are spoken of."""

    outbound: tuple[Outbound, ...] = ()
    targets: Iterable[Target] = ()
    gateway: Gateway | None = None
    inbound: Inbound | None = None
    transparent: Transparent | None = None
    providers: tuple[str, ...] = ()
    #: Those that are no instances of the mesh, or not of this datacenter.
    clusters: Iterable[Cluster] = ()

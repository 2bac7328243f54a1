"""The rows of cluster peering: a peering, its secrets, the roots of the other cluster.

Secrets stand apart from what reads show. What this side only has to recognise is kept as SHA-256 of a random UUID; the
one secret that it must present itself, the stream secret of a dialing side, is sealed when the servers have a key file.

Source: surface rows PE1-PE3, M68; developer.hashicorp.com/consul/docs/east-west/cluster-peering. What may change here:
fields may be added with a default (rows live in logs and snapshots).
"""

from __future__ import annotations

import hashlib

from meshagent.catalog.ca import CAKey
from meshagent.catalog.model import Row, always

__all__ = [
    "ACTIVE",
    "DELETING",
    "ESTABLISHING",
    "FAILING",
    "PENDING",
    "TERMINATED",
    "Peering",
    "PeeringSecrets",
    "Remote",
    "TrustBundle",
    "secret_digest",
]

#: States as they are shown. FAILING is never stored: it is what a leader sees of an ACTIVE peering without a stream.
PENDING, ESTABLISHING, ACTIVE = "PENDING", "ESTABLISHING", "ACTIVE"
FAILING, DELETING, TERMINATED = "FAILING", "DELETING", "TERMINATED"


class Remote(Row, frozen=True, kw_only=True):
    """Where the other side is, as it says itself."""

    partition: str = always("")
    datacenter: str = always("")


class Peering(Row, frozen=True, kw_only=True):
    """A relation to another cluster. `dials`: this side was given a token and opens the stream.

    `peer_id` is what the other side calls this peering. `ca_pems`, `server_name`, `server_addresses` are those of the
    other side's servers, known on the dialing side only. Times are RFC 3339.
    """

    id: str = always("")
    name: str = always("")
    state: str = always(PENDING)
    meta: dict[str, str] | None = None
    deleted_at: str = ""
    dials: bool = False
    peer_id: str = ""
    ca_pems: tuple[str, ...] = ()
    server_name: str = ""
    server_addresses: tuple[str, ...] = ()
    manual_addresses: tuple[str, ...] = ()
    remote: Remote = always(Remote())
    create_index: int = always(0)
    modify_index: int = always(0)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where the other side's servers are: those its operator named, else those it told of."""
        return self.manual_addresses or self.server_addresses

    @property
    def usable(self) -> bool:
        """Whether the two sides may talk."""
        return self.state not in {DELETING, TERMINATED}


class PeeringSecrets(Row, frozen=True, kw_only=True):
    """What authorises the other side, as digests, and what this side presents.

    `establishment` is good for one exchange. `pending` was given for it and becomes `active` when it is used first, so
    that a dialer that never got it can come again. `own` is the stream secret of a dialing side.
    """

    id: str = always("")
    establishment: str = ""
    pending: str = ""
    active: str = ""
    own: CAKey | None = None


class TrustBundle(Row, frozen=True, kw_only=True):
    """The roots by which identities of the other cluster are verified (PEM texts)."""

    peer: str = always("")
    trust_domain: str = always("")
    roots: tuple[str, ...] = always(())
    create_index: int = always(0)
    modify_index: int = always(0)


def secret_digest(secret: str) -> str:
    """What is kept of a secret that only has to be recognised. It is a random UUID: there is nothing to guess."""
    return hashlib.sha256(b"meshagent peering " + secret.encode()).hexdigest()

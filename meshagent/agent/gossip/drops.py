"""Why something of a peer was dropped: the labels of the counter `memberlist.dropped`.

Every refusal of input in this room raises `Dropped` (or the plain `RemoteProtocolError` of a codec, which counts as
`malformed`), or is counted by the machine under one of these words. What may change here: words are append-only, they
are shown to dashboards.
"""

from __future__ import annotations

from enum import StrEnum

from meshagent.errors import RemoteProtocolError

__all__ = ["Drop", "Dropped", "reason_of"]


class Drop(StrEnum):
    MALFORMED = "malformed"  # not what the wire allows
    LABEL = "label"  # another label, or none where one is due
    CHECKSUM = "checksum"
    DECRYPT = "decrypt"  # no key of the ring opens it
    PLAIN = "plain"  # not encrypted in an encrypted pool
    SEALED = "sealed"  # encrypted, and we have no key
    TOO_LARGE = "too_large"  # over a limit, before it was allocated
    UNKNOWN_TYPE = "unknown_type"
    OTHER_NAME = "other_name"  # a ping for another node
    VERSIONS = "versions"  # protocol versions that cannot be, or are not ours
    ADDRESS = "address"  # an address that is not allowed or cannot be
    CONFLICT = "conflict"  # another address claims the name of a live node
    REFUSED = "refused"  # the layer above did not want it
    INCARNATION = "incarnation"  # so high that nobody could answer it
    STALE_ACK = "stale_ack"  # an ack or nack that nobody waits for
    BUSY = "busy"  # too many streams at once


class Dropped(RemoteProtocolError):
    """Refused, with the word it is counted under."""

    def __init__(self, drop: Drop, message: str) -> None:
        super().__init__(message)
        self.drop = drop


def reason_of(error: RemoteProtocolError) -> Drop:
    """The word to count `error` under."""
    return error.drop if isinstance(error, Dropped) else Drop.MALFORMED

"""What changed between two bodies: how much of the beginning and of the end stayed.

Encoded lists are made of independent pieces in a fixed order, so a changed instance among a thousand is a few hundred
bytes in the middle. Source: measured: 0.2 ms for 600 KB, by halving and memcmp. Pure.

What may be changed: how the ends are found; the form is on the wire (`messages.Change`).
"""

from __future__ import annotations

import hashlib

from meshagent.errors import RemoteProtocolError

__all__ = ["apply", "digest", "same_ends"]


def same_ends(old: bytes, new: bytes) -> tuple[int, int]:
    """(bytes that both begin with, bytes that both end with), not overlapping in either."""
    room = min(len(old), len(new))
    prefix, high = 0, room
    while prefix < high:
        middle = (prefix + high + 1) // 2
        if old[prefix:middle] == new[prefix:middle]:
            prefix = middle
        else:
            high = middle - 1
    suffix, high = 0, room - prefix
    old_end, new_end = len(old), len(new)
    while suffix < high:
        middle = (suffix + high + 1) // 2
        if old[old_end - middle : old_end - suffix] == new[new_end - middle : new_end - suffix]:
            suffix = middle
        else:
            high = middle - 1
    return prefix, suffix


def apply(old: bytes, prefix: int, suffix: int, middle: bytes) -> bytes:
    """The new body. Raises RemoteProtocolError: more is kept than there is."""
    if prefix < 0 or suffix < 0 or prefix + suffix > len(old):
        raise RemoteProtocolError(f"a change keeps {prefix} + {suffix} bytes of a body of {len(old)}")
    return old[:prefix] + middle + old[len(old) - suffix :]


def digest(body: bytes) -> bytes:
    """Eight bytes that two bodies share only if they are equal (not against an attacker: both ends are ours)."""
    return hashlib.blake2b(body, digest_size=8).digest()

"""A 64-bit hash that is the same in every proxy, run and release: equal keys must meet at equal instances.

Source: RFC 7693 (BLAKE2b, which the standard library has; Envoy uses xxHash, and the two never need to agree). What may
change here: nothing without moving every session of every user.
"""

from __future__ import annotations

from hashlib import blake2b

__all__ = ["MASK64", "combined", "hash64"]

MASK64 = (1 << 64) - 1


def hash64(data: bytes) -> int:
    """0 .. 2**64 - 1."""
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little")


def combined(before: int, new: int) -> int:
    """One hash of two, in which their order counts."""
    return ((before << 1 | before >> 63) & MASK64) ^ new

"""Identifiers: UUIDs as Consul writes them (RFC 9562 section 4, lower case, 36 characters).

Ids are made at the edge and put into commands; nothing that applies a log entry makes one.
"""

from __future__ import annotations

import random
import re
import uuid

__all__ = ["is_uuid", "new_uuid"]

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")


def new_uuid(rng: random.Random | None = None) -> str:
    """A random (version 4) UUID: from the operating system, or from `rng` in a simulation."""
    if rng is None:
        return str(uuid.uuid4())
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def is_uuid(text: str) -> bool:
    """Whether `text` has the form of a UUID."""
    return _UUID.match(text) is not None

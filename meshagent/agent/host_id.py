"""I/O edge: a node id from the machine's own (`disable_host_node_id = false`): it survives a lost data directory.

The machine's id is that of its firmware, where it may be read, else the one of the operating system. Machines of one
cloud have similar ones, so it is hashed; and it is nobody else's business.

Source: surface row G10; the way is Consul's, so an agent that moves here keeps its id. What may change here: nothing
that makes another id of the same machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from meshagent.ids import is_uuid, new_uuid

if TYPE_CHECKING:
    from meshagent.agent.config import Config

__all__ = ["PLACES", "host_node_id", "make_node_id", "spread"]

PLACES = ("/sys/class/dmi/id/product_uuid", "/etc/machine-id")


def make_node_id(config: Config) -> str:
    """For an agent that has none: random, or the machine's where the configuration wants that and there is one."""
    own = None if config.disable_host_node_id else host_node_id()
    return own or new_uuid()


def host_node_id(places: Sequence[str] = PLACES) -> str | None:
    """The id, a UUID in form; None where the machine has none."""
    for place in places:
        try:
            found = Path(place).read_text(encoding="ascii").strip().lower()
        except (OSError, UnicodeDecodeError):
            continue
        if len(found) == 32 and found.isalnum():
            found = "-".join((found[:8], found[8:12], found[12:16], found[16:20], found[20:]))
        if is_uuid(found):
            return spread(found)
    return None


def spread(machine: str) -> str:
    """A well-spread id from a machine's (lower case)."""
    digest = hashlib.sha512(machine.encode()).hexdigest()
    return "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))

"""I/O edge: what a client got from the servers, on disk: `<data_dir>/auto-config.json`, mode 0600.

A restart begins from it, so that an agent starts while no server runs, and an introduction is needed once. A damaged
file is moved aside: what it held can be asked for again. Source: surface row G16; Consul keeps its answer under the
same name, in another form. What may change here: fields with a default.
"""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from meshagent.agent.auto.messages import Issued
from meshagent.agent.persist import write_files

__all__ = ["FILE", "Kept", "kept_of", "load", "save"]

FILE = "auto-config.json"
log = logging.getLogger("agent.auto_config")


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate with its key (PEM), what the servers said beside it, and the options they gave (auto_config)."""

    node: str
    datacenter: str
    key: str
    chain: str
    valid_after: str
    valid_before: str
    root_id: str
    authorities: tuple[str, ...] = ()
    verify_server_hostname: bool = False
    options: dict[str, Any] | None = None

    @property
    def begin(self) -> datetime:
        """When the certificate begins."""
        return datetime.fromisoformat(self.valid_after)

    @property
    def end(self) -> datetime:
        """When it ends."""
        return datetime.fromisoformat(self.valid_before)


def kept_of(node: str, datacenter: str, key: str, issued: Issued, options: dict[str, Any] | None = None) -> Kept:
    """What is to be kept of an answer."""
    leaf = issued.leaf
    return Kept(
        node=node,
        datacenter=datacenter,
        key=key,
        chain=leaf.chain,
        valid_after=leaf.valid_after,
        valid_before=leaf.valid_before,
        root_id=leaf.root_id,
        authorities=issued.authorities,
        verify_server_hostname=issued.verify_server_hostname,
        options=options,
    )


def load(data_dir: Path | None, node: str) -> Kept | None:
    """What is on disk for this node. One of another name is as good as none. Blocks."""
    path = None if data_dir is None else data_dir / FILE
    if path is None or not path.exists():
        return None
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Kept)
        valid = found.begin < found.end
    except (OSError, msgspec.DecodeError, ValueError, TypeError) as error:
        log.error("%s cannot be used and is asked for again: %s", path, type(error).__name__)
        valid = False
    if not valid:
        path.replace(path.with_suffix(".damaged"))
        return None
    return found if found.node == node else None


def save(data_dir: Path | None, kept: Kept) -> None:
    """Keep it; blocks. Without a data directory nothing is kept."""
    if data_dir is not None:
        try:
            write_files({data_dir / FILE: msgspec.json.encode(kept)})
        except OSError as error:
            log.error("%s cannot be written: %s", data_dir / FILE, error.strerror)

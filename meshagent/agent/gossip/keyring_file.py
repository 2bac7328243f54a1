"""I/O edge: the gossip keys of a pool on disk (`serf/local.keyring`, `serf/remote.keyring`), mode 0600.

Source: surface rows S12, OP7; Consul's rules: the file wins over `encrypt`, which only begins it; without a data
directory, or with `disable_keyring_file`, keys live in memory. Written beside itself, synced and renamed. A file that
cannot be used keeps the agent from starting: to go on without the keys would leave the pool. What may change here:
nothing that a host which changes over from Consul relies on.
"""

from __future__ import annotations

import logging
from pathlib import Path

from meshagent.agent.gossip.keyring import Keyring, decode_key, format_ring, parse_ring
from meshagent.agent.persist import write_files
from meshagent.errors import BadRequest, ConfigError

__all__ = ["load_ring", "save_ring"]

log = logging.getLogger("agent.gossip")


def load_ring(path: Path | None, encrypt: str) -> Keyring:
    """The keys to start with: those of the file, else `encrypt` (base64), which then begins the file.

    Raises:
        ConfigError: the file or the key cannot be used.
    """
    if path is not None and path.exists():
        try:
            keys = parse_ring(path.read_bytes())
        except OSError as error:
            raise ConfigError(f"keyring {path} cannot be read: {error.strerror}") from None
        except BadRequest as error:
            raise ConfigError(f"keyring {path} cannot be used: {error}") from None
        if encrypt and decode_key(encrypt) != keys[0]:
            log.warning("encrypt: another key is primary in %s, which is used", path)
        return Keyring(keys)
    if not encrypt:
        return Keyring()
    try:
        ring = Keyring([decode_key(encrypt)])
    except BadRequest as error:
        raise ConfigError(f"encrypt: {error}") from None
    if path is not None:
        try:
            save_ring(path, ring.keys)
        except OSError as error:
            raise ConfigError(f"keyring {path} cannot be written: {error.strerror}") from None
    return ring


def save_ring(path: Path, keys: tuple[bytes, ...]) -> None:
    """Keep the keys; blocks. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_files({path: format_ring(keys)})

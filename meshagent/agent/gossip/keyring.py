"""The gossip keys of a pool, and the text that keeps them on disk.

The first key (the primary) encrypts, every key decrypts: so a key is changed without a gap by installing the new one
everywhere, using it everywhere, and removing the old one everywhere.

Source: surface rows S12, S50, OP7; the ring file is Consul's `serf/local.keyring`: a JSON list of base64 keys, the
primary first. The words of errors reach operators and other members. What may change here: nothing that those see.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Iterable

from meshagent.errors import BadRequest

__all__ = ["KEY_SIZES", "MAX_KEYS", "Keyring", "decode_key", "encode_key", "format_ring", "parse_ring"]

#: AES-128, AES-192 and AES-256.
KEY_SIZES = (16, 24, 32)
#: Each key costs a trial on every packet that no key opens; nobody rotates through more at once.
MAX_KEYS = 64


class Keyring:
    """The keys of a pool, the primary first; without keys the pool speaks plain text.

    `version` moves with every change, so that whoever prepares ciphers knows when they are old.
    """

    def __init__(self, keys: Iterable[bytes] = ()) -> None:
        """Raises BadRequest for a key of another size."""
        self.keys: tuple[bytes, ...] = ()
        self.version = 0
        for key in keys:
            self.install(key)

    @property
    def primary(self) -> bytes | None:
        """The key that encrypts."""
        return self.keys[0] if self.keys else None

    def install(self, key: bytes) -> None:
        """Have `key` decrypt. Raises BadRequest: it is no AES key, or there are too many."""
        if len(key) not in KEY_SIZES:
            raise BadRequest("key size must be 16, 24 or 32 bytes")
        if self._has(key):
            return
        if len(self.keys) >= MAX_KEYS:
            raise BadRequest(f"the keyring already holds {MAX_KEYS} keys")
        self._set((*self.keys, key))

    def use(self, key: bytes) -> None:
        """Have `key` encrypt. Raises BadRequest: it is not installed."""
        if not self._has(key):
            raise BadRequest("Requested key is not in the keyring")
        self._set((key, *(held for held in self.keys if held != key)))

    def remove(self, key: bytes) -> None:
        """Forget `key`; one that is unknown is gone already. Raises BadRequest: it is the primary."""
        if self.keys and hmac.compare_digest(self.keys[0], key):
            raise BadRequest("Removing the primary key is not allowed")
        self._set(tuple(held for held in self.keys if held != key))

    def _has(self, key: bytes) -> bool:
        return sum(hmac.compare_digest(held, key) for held in self.keys) > 0  # always all of them

    def _set(self, keys: tuple[bytes, ...]) -> None:
        if keys != self.keys:
            self.keys = keys
            self.version += 1


def encode_key(key: bytes) -> str:
    """The base64 form in which people and files handle a key."""
    return base64.b64encode(key).decode("ascii")


def decode_key(text: str) -> bytes:
    """A key from its base64 form. Raises BadRequest: it is not base64, or no AES key."""
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise BadRequest("key is not base64") from None
    if len(key) not in KEY_SIZES:
        raise BadRequest("key size must be 16, 24 or 32 bytes")
    return key


def parse_ring(data: bytes) -> tuple[bytes, ...]:
    """The keys of a ring file, the primary first.

    >>> parse_ring(b'["AAECAwQFBgcICQoLDA0ODw=="]')[0].hex()
    '000102030405060708090a0b0c0d0e0f'

    Raises:
        BadRequest: it is not a JSON list of keys, or empty.
    """
    try:
        texts = json.loads(data)
    except (ValueError, RecursionError):
        raise BadRequest("it is not a JSON list of base64 keys") from None
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise BadRequest("it is not a JSON list of base64 keys")
    if len(texts) > MAX_KEYS:
        raise BadRequest(f"it holds more than {MAX_KEYS} keys")
    return tuple(decode_key(text) for text in texts)


def format_ring(keys: Iterable[bytes]) -> bytes:
    """The text of a ring file."""
    return json.dumps([encode_key(key) for key in keys], indent=2).encode("ascii")

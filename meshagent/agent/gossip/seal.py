"""AES-GCM around packets and streams, with a ring of keys; the only door to `cryptography` in gossip.

Source: golden README section 3.4, surface rows S10 to S12. A sealed text is the version byte (1, or 0 with PKCS7
padding of protocol 1), a nonce of 12 bytes, the ciphertext and its tag of 16. The first key of the ring seals, all
open, in their order. Nonces come from the operating system's generator, through an argument (so that a recorded nonce
gives the recorded bytes): a random nonce of 96 bits may be used 2^32 times with one key (NIST SP 800-38D, 8.3).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from meshagent.agent.gossip.drops import Drop, Dropped

__all__ = ["MIN_SEALED_BYTES", "Keys", "NoKeys", "Seal"]

_NONCE_BYTES = 12
_TAG_BYTES = 16
_BLOCK_BYTES = 16
MIN_SEALED_BYTES = 1 + _NONCE_BYTES + _TAG_BYTES


class Keys(Protocol):
    """A keyring: `keys` has the primary first (empty: nothing is sealed); `version` moves with every change of it."""

    @property
    def keys(self) -> tuple[bytes, ...]: ...

    @property
    def version(self) -> int: ...


class NoKeys:
    """The ring of a pool that is not encrypted."""

    keys: tuple[bytes, ...] = ()
    version = 0


class Seal:
    """Seals and opens with the ring's present keys."""

    def __init__(self, ring: Keys, nonce: Callable[[], bytes], *, crypto_version: int = 1) -> None:
        self._ring = ring
        self._nonce = nonce
        self._version_byte = bytes((crypto_version,))
        self._padded = crypto_version == 0
        self.overhead = MIN_SEALED_BYTES + (_BLOCK_BYTES if self._padded else 0)
        self._ring_version = -1
        self._ciphers: list[Any] = []
        self._invalid_tag: type[Exception] = ValueError

    @property
    def enabled(self) -> bool:
        """Whether there is a key."""
        return bool(self._current())

    def _current(self) -> list[Any]:
        if self._ring.version != self._ring_version:
            self._ring_version = self._ring.version
            self._ciphers = []
            if self._ring.keys:  # the library takes 6 MB, which an agent without keys never uses
                from cryptography.exceptions import InvalidTag
                from cryptography.hazmat.primitives.ciphers.aead import AESGCM

                self._invalid_tag = InvalidTag
                self._ciphers = [AESGCM(key) for key in self._ring.keys]
        return self._ciphers

    def sealed_size(self, size: int) -> int:
        """Bytes that `size` bytes of plain text become."""
        pad = _BLOCK_BYTES - size % _BLOCK_BYTES if self._padded else 0
        return MIN_SEALED_BYTES + size + pad

    def seal(self, plain: bytes, aad: bytes) -> bytes:
        """`plain` under the primary key. Raises IndexError without a key: ask `enabled` before."""
        if self._padded:
            pad = _BLOCK_BYTES - len(plain) % _BLOCK_BYTES
            plain += bytes((pad,)) * pad
        nonce = self._nonce()
        sealed: bytes = self._current()[0].encrypt(nonce, plain, aad)
        return self._version_byte + nonce + sealed

    def open(self, sealed: bytes, aad: bytes) -> bytes:
        """The plain text. Raises Dropped: too short, an unknown version, or no key opens it."""
        if len(sealed) < MIN_SEALED_BYTES or sealed[0] > 1:
            raise Dropped(Drop.PLAIN, "not sealed, or with an unknown version")
        ciphers = self._current()
        nonce = sealed[1 : 1 + _NONCE_BYTES]
        text = sealed[1 + _NONCE_BYTES :]
        for cipher in ciphers:
            try:
                plain: bytes = cipher.decrypt(nonce, text, aad)
            except self._invalid_tag:
                continue
            return plain if sealed[0] else _unpad(plain)
        raise Dropped(Drop.DECRYPT, "no installed key could decrypt the message")


def _unpad(plain: bytes) -> bytes:
    pad = plain[-1] if plain else 0
    if not 1 <= pad <= _BLOCK_BYTES or len(plain) % _BLOCK_BYTES or plain[-pad:] != bytes((pad,)) * pad:
        raise Dropped(Drop.DECRYPT, "padding of version 0 is wrong")
    return plain[:-pad]

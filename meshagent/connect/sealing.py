"""Sealing the private key of the authority before it goes into the replicated store.

AES-256-GCM under a key that every server reads from a file of its own (`connect.ca_key_file`); what is sealed names its
key by a digest, so that a server with another file can say so. Without a key file the key is stored as it is, as
Consul does: then who reads a server's data directory can sign.

Source: NIST SP 800-38D (GCM); our own format: 12 bytes of nonce, then ciphertext and tag; the root's id is the
additional data. What may change here: nothing about what is already sealed; another form gets another prefix in
`sealed_by`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from dataclasses import dataclass

from meshagent.catalog.ca import CAKey
from meshagent.errors import ConfigError, CorruptData, Unavailable

__all__ = ["SealingKey", "open_key", "seal_key"]

_NONCE_BYTES = 12


@dataclass(frozen=True, slots=True, repr=False)
class SealingKey:
    """32 bytes that seal. `name` identifies them without giving them away."""

    secret: bytes

    @classmethod
    def parse(cls, text: str, where: str) -> SealingKey:
        """The key in the text of a key file: base64 of 32 bytes, as `meshagent keygen` prints.

        Raises:
            ConfigError: naming `where` the text came from.
        """
        try:
            secret = base64.b64decode(text.strip(), validate=True)
        except (binascii.Error, ValueError):
            secret = b""
        if len(secret) != 32:
            raise ConfigError(f"connect.ca_key_file: {where} must hold base64 of 32 bytes; make one with keygen")
        return cls(secret)

    @property
    def name(self) -> str:
        """What `CAKey.sealed_by` says."""
        return "aes256gcm:" + hashlib.sha256(b"meshagent ca key" + self.secret).hexdigest()[:16]


def seal_key(root_id: str, pem: bytes, sealing: SealingKey | None) -> CAKey:
    """The row to store for a private key."""
    if sealing is None:
        return CAKey(root_id, pem)
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = secrets.token_bytes(_NONCE_BYTES)
    return CAKey(root_id, nonce + AESGCM(sealing.secret).encrypt(nonce, pem, root_id.encode()), sealing.name)


def open_key(row: CAKey, sealing: SealingKey | None) -> bytes:
    """The PEM text of a stored private key.

    Raises:
        Unavailable: this server lacks the key file that sealed it.
    """
    if not row.sealed_by:
        return row.data
    if sealing is None or sealing.name != row.sealed_by:
        raise Unavailable(
            "the private key of the certificate authority is sealed with another key file than this server's "
            f"connect.ca_key_file ({row.sealed_by} is needed): give every server the same file"
        )
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce, sealed = row.data[:_NONCE_BYTES], row.data[_NONCE_BYTES:]
    try:
        return AESGCM(sealing.secret).decrypt(nonce, sealed, row.root_id.encode())
    except (InvalidTag, ValueError) as error:
        raise CorruptData("what was sealed has been changed, or another key sealed it") from error

"""A member's tags as the metadata of its node.

Source: surface row S43: byte ff, then a msgpack map of text to text. Metadata without the ff is that of serf protocol
2: the whole is the tag `role`. What may change here: nothing; other members parse it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from meshagent.agent.gossip import fields as go
from meshagent.errors import LocalProtocolError, RemoteProtocolError

__all__ = ["META_MAX", "decode_tags", "encode_tags", "shared_tags"]

#: memberlist's limit of a node's metadata.
META_MAX = 512
_MAGIC = 0xFF


def encode_tags(tags: Mapping[str, str]) -> bytes:
    """The metadata of a node with these tags.

    >>> encode_tags({}).hex()
    'ff80'

    Raises:
        LocalProtocolError: they do not fit into 512 bytes.
    """
    meta = bytes((_MAGIC,)) + go.pack(dict(tags))
    if len(meta) > META_MAX:
        raise LocalProtocolError(f"tags take {len(meta)} bytes; a member has room for {META_MAX}")
    return meta


def decode_tags(meta: bytes) -> dict[str, str]:
    """The tags in a node's metadata; bytes that are no UTF-8 are shown as replacement characters.

    Raises:
        RemoteProtocolError: it holds no map of texts.
    """
    if not meta or meta[0] != _MAGIC:
        return {"role": meta.decode("utf-8", "replace")}
    fields = go.read_map(meta[1:])
    tags: dict[str, str] = {}
    for name, value in fields.items():
        if type(name) is not bytes or not (type(value) is bytes or value is None):
            raise RemoteProtocolError("tags hold something other than text")
        tags[name.decode("utf-8", "replace")] = (value or b"").decode("utf-8", "replace")
    return tags


@lru_cache(maxsize=8192)
def shared_tags(meta: bytes) -> dict[str, str]:
    """`decode_tags`, once for all members that say the same: nobody may change what it returns."""
    return decode_tags(meta)

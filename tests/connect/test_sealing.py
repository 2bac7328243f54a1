"""Sealing of the authority's key."""

from __future__ import annotations

import base64

import msgspec
import pytest

from meshagent.catalog.ca import CAKey
from meshagent.connect.sealing import SealingKey, open_key, seal_key
from meshagent.errors import ConfigError, CorruptData, Unavailable

KEY = SealingKey(bytes(range(32)))
PEM = b"-----BEGIN EC PRIVATE KEY-----"


def test_what_is_sealed_opens_again_and_does_not_show() -> None:
    row = seal_key("root", PEM, KEY)
    assert PEM not in row.data
    assert open_key(row, KEY) == PEM
    assert seal_key("root", PEM, KEY).data != row.data


def test_without_a_key_file_it_is_stored_as_it_is() -> None:
    row = seal_key("root", PEM, None)
    assert row == CAKey("root", PEM)
    assert open_key(row, KEY) == PEM


@pytest.mark.parametrize("other", [None, SealingKey(bytes(32))])
def test_a_server_with_another_key_file_says_so(other: SealingKey | None) -> None:
    with pytest.raises(Unavailable, match=r"connect\.ca_key_file"):
        open_key(seal_key("root", PEM, KEY), other)


def test_changed_bytes_and_another_root_are_found_out() -> None:
    row = seal_key("root", PEM, KEY)
    for bad in (
        msgspec.structs.replace(row, data=row.data[:-1] + bytes([row.data[-1] ^ 1])),
        msgspec.structs.replace(row, root_id="other"),
        msgspec.structs.replace(row, data=b""),
    ):
        with pytest.raises(CorruptData):
            open_key(bad, KEY)


def test_the_key_file_holds_32_bytes_in_base64() -> None:
    text = base64.b64encode(KEY.secret).decode() + "\n"
    assert SealingKey.parse(text, "f").name == KEY.name
    assert "AAEC" not in repr(KEY)
    for bad in ("", "zork", base64.b64encode(b"short").decode()):
        with pytest.raises(ConfigError, match="f must hold base64 of 32 bytes"):
            SealingKey.parse(bad, "f")

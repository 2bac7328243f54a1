from pathlib import Path

import pytest

from meshagent.agent.gossip.keyring import encode_key, parse_ring
from meshagent.agent.gossip.keyring_file import load_ring, save_ring
from meshagent.errors import ConfigError

A, B = bytes(range(32)), bytes(range(1, 17))


def test_the_option_begins_the_file_and_the_file_wins(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "serf" / "local.keyring"
    assert load_ring(path, encode_key(A)).keys == (A,)
    assert parse_ring(path.read_bytes()) == (A,)
    assert path.stat().st_mode & 0o777 == 0o600
    save_ring(path, (B, A))
    assert load_ring(path, encode_key(A)).keys == (B, A)
    assert "another key is primary" in caplog.text
    assert encode_key(B) not in caplog.text
    assert load_ring(path, "").keys == (B, A)


def test_without_a_file_keys_live_in_memory() -> None:
    assert load_ring(None, encode_key(B)).keys == (B,)
    assert load_ring(None, "").keys == ()


@pytest.mark.parametrize("data", [b"", b"{}", b'["AAAA"]'])
def test_a_broken_file_is_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "local.keyring"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=r"local\.keyring cannot be used"):
        load_ring(path, encode_key(A))


def test_a_file_that_cannot_be_read_or_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "local.keyring").mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        load_ring(tmp_path / "local.keyring", "")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        load_ring(tmp_path / "file" / "local.keyring", encode_key(A))


def test_a_bad_option_is_named() -> None:
    with pytest.raises(ConfigError, match="encrypt: key is not base64"):
        load_ring(None, "zz")

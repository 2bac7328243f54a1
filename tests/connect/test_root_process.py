"""The first root, made in another process."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from meshagent.connect import certs, root_process
from meshagent.connect.ca_config import CASettings
from meshagent.connect.root_process import build_apart
from meshagent.errors import Unavailable

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)


async def test_root_and_key_come_back_and_belong_together() -> None:
    built = await build_apart(CASettings(key_bits=384), "11111111-2222", "abc", 7, NOW)
    assert built.row.not_before == "2024-05-01T12:00:00Z"
    assert built.row.key_bits == 384
    assert certs.key_matches(built.key, built.row.root_cert.encode())


async def test_a_process_that_cannot_start_or_fails_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(root_process.sys, "executable", "/nonexistent/python")
    with pytest.raises(Unavailable, match="cannot start"):
        await build_apart(CASettings(), "c", "abc", 7, NOW)
    monkeypatch.setattr(root_process.sys, "executable", "/bin/false")
    with pytest.raises(Unavailable, match="status 1"):
        await build_apart(CASettings(), "c", "abc", 7, NOW)

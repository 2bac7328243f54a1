"""What a new leader writes, tokens that end, and the reset file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from meshtest.inprocess import MANAGER, InProcess, guarded_config

from meshagent.agent.acl.setup import RESET_FILE, expired, init_acls, read_reset_index, reap_tokens


@pytest.fixture
async def world() -> AsyncIterator[InProcess]:
    running = InProcess(config=guarded_config())
    await running.start()
    yield running
    await running.stop()


async def test_it_is_done_once(world: InProcess) -> None:
    tables = world.store.acl
    assert {token.description for token in tables.tokens.values()} == {"Initial Management Token", "Anonymous Token"}
    assert tables.by_secret(MANAGER) is not None and tables.bootstrap_index > 0
    index = world.store.index
    await init_acls(world.agent)
    assert world.store.index == index
    refused = await world.ask("PUT", "/v1/acl/bootstrap")
    assert refused.status == 403 and f"(reset index: {tables.bootstrap_index})" in refused.text


async def test_tokens_are_deleted_when_their_time_is_over(world: InProcess) -> None:
    accessor, _ = await world.token('key "a" { policy = "read" }', ExpirationTTL="2m")
    world.tasks.start(reap_tokens(world.agent), name="reap")
    await world.clock.advance(100)
    assert accessor in world.store.acl.tokens
    await world.clock.advance(60)
    assert accessor not in world.store.acl.tokens


def test_who_is_over() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert expired({"b": "2026-01-01T00:00:00Z", "a": "2025-01-01T00:00:00Z", "c": "2026-01-02T00:00:00Z"}, now) == (
        "a", "b",
    )  # fmt: skip


async def test_the_reset_file_allows_another_first_token(tmp_path: Path) -> None:
    world = InProcess(config=guarded_config().replace(data_dir=str(tmp_path)))
    await world.start()
    index = world.store.acl.bootstrap_index
    (tmp_path / RESET_FILE).write_text(f"{index + 1}\n")
    assert (await world.ask("PUT", "/v1/acl/bootstrap")).status == 403
    (tmp_path / RESET_FILE).write_text(f"{index}\n")
    row = (await world.put("/v1/acl/bootstrap")).json
    assert row["ID"] == row["SecretID"]
    assert (await world.ask("PUT", "/v1/acl/bootstrap")).status == 403  # the index is another now
    await world.stop()


@pytest.mark.parametrize(("text", "index"), [("7", 7), (" 7\n", 7), ("", 0), ("x", 0), ("-1", 0), ("9" * 30, 0)])
def test_what_a_reset_file_says(tmp_path: Path, text: str, index: int) -> None:
    (tmp_path / RESET_FILE).write_text(text)
    assert read_reset_index(str(tmp_path)) == index
    assert read_reset_index("") == 0

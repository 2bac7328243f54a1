"""Config entries of the configuration."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from meshtest.config_entries import write

from meshagent.agent.config import load
from meshagent.agent.entry_bootstrap import bootstrap_entries, entries_of
from meshagent.catalog.store import Store
from meshagent.clock import VirtualClock
from meshagent.errors import ConfigError, InternalError

TWO = """config_entries { bootstrap = [
  { Kind = "service-splitter" Name = "web" Splits = [{ Weight = 100 }] },
  { kind = "proxy-defaults" name = "global" config { protocol = "http" } },
  { Kind = "service-defaults" Name = "web" Protocol = "http" }
] }"""


def config(hcl: str) -> Any:
    return load(hcl=[hcl], dev=True).config


async def begin(hcl: str, store: Store) -> list[str]:
    written: list[str] = []

    async def write_as_leader(command: Any) -> Any:
        if command.entry.kind == "service-splitter" and not written:
            raise InternalError("needs a protocol")
        written.append(f"{command.entry.kind}/{command.entry.name}")

    await bootstrap_entries(
        SimpleNamespace(extras={}, store=store, clock=VirtualClock(), write_as_leader=write_as_leader),  # type: ignore[arg-type]
        config(hcl),
    )
    return written


async def test_what_is_missing_is_written_and_what_is_refused_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    assert await begin(TWO, Store()) == ["proxy-defaults/global", "service-defaults/web"]
    assert "kind=service-splitter name=web error=needs a protocol" in caplog.text


async def test_what_is_there_stays_as_it_is() -> None:
    store = Store()
    assert write(store, {"Kind": "service-defaults", "Name": "web", "Protocol": "grpc"}) == ""
    assert await begin(TWO, store) == ["proxy-defaults/global"]


def test_every_mistake_is_told_with_its_place() -> None:
    wrong = """config_entries { bootstrap = [
      { Kind = "service-defaults" Name = "web" Protocol = "http" },
      { Kind = "nonsense" Name = "x" },
      { Kind = "service-defaults" Name = "web" Protocl = "http" }
    ] }"""
    with pytest.raises(ConfigError) as caught:
        entries_of(config(wrong))
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "config_entries.bootstrap[1]",
        "config_entries.bootstrap[2]",
    ]
    assert "Protocl" in caught.value.problems[1]

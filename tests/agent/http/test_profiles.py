"""`/debug/pprof/*` (C32): who may read it, and what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from meshtest.httpapi import Api

from meshagent.agent.http.settings import HttpSettings

Make = Callable[[HttpSettings], Awaitable[Api]]


async def test_it_is_not_there_unless_it_is_switched_on(make_api: Make) -> None:
    answer = await (await make_api(HttpSettings())).get("/debug/pprof/heap")
    assert (answer.status, answer.text) == (404, "")


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("", 200, "goroutine"),
        ("heap", 200, "allocated blocks"),
        ("goroutine", 200, "tasks: "),
        ("profile?seconds=0.1", 200, ";"),
        ("profile?seconds=nan", 200, ";"),
        ("trace", 404, "Unknown profile"),
    ],
)
async def test_kinds_are_text(
    make_api: Make, path: str, status: int, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshagent.agent.http.profiles._SECONDS", 0.1)
    api = await make_api(HttpSettings(enable_debug=True))
    answer = await api.get(f"/debug/pprof/{path}")
    assert answer.status == status
    assert text in answer.text
    assert (await api.ask("PUT", "/debug/pprof/heap")).status == 405

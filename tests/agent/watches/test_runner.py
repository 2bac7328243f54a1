from __future__ import annotations

import asyncio
import json
from typing import Any

from meshagent.agent.config.watches import Watch
from meshagent.agent.watches.follow import Change
from meshagent.agent.watches.runner import WatchRunner
from meshagent.clock import VirtualClock
from meshagent.errors import MeshError


class Api:
    """Answers in order; then the read waits."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str]] = []

    async def ask(self, target: str, token: str) -> Any:
        self.asked.append((target, token))
        if not self.answers:
            await asyncio.get_running_loop().create_future()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        index, value = answer
        return 200, {"x-consul-index": str(index)}, json.dumps(value).encode()


async def test_changes_are_handed_over_in_order() -> None:
    api, clock, told = Api((3, [1]), (4, [1]), (5, [2])), VirtualClock(), []

    async def hand_over(watch: Watch, change: Change) -> None:
        told.append((watch.type, change))

    runner = WatchRunner(api.ask, clock, hand_over)
    await runner.configure([Watch(type="nodes", token="secret", args=("x",))])
    await clock.advance(0.1)
    assert told == [("nodes", Change("3", [1])), ("nodes", Change("5", [2]))]
    assert api.asked == [(f"/v1/catalog/nodes{index}", "secret") for index in ("", "?index=3", "?index=4", "?index=5")]
    await runner.stop()


async def test_a_failed_read_is_tried_again_later() -> None:
    api, clock, told = Api(MeshError("no leader"), (3, [1])), VirtualClock(), []

    async def hand_over(watch: Watch, change: Change) -> None:
        told.append(change)

    runner = WatchRunner(api.ask, clock, hand_over)
    await runner.configure([Watch(type="nodes", args=("x",))])
    await clock.advance(4.9)
    assert (len(api.asked), told) == (1, [])
    await clock.advance(0.2)
    assert told == [Change("3", [1])]
    await runner.stop()


async def test_a_handler_that_fails_does_not_end_the_watch() -> None:
    api, clock, told = Api((3, [1]), (4, [2])), VirtualClock(), []

    async def hand_over(watch: Watch, change: Change) -> None:
        told.append(change.index)
        raise MeshError("exit status 1")

    runner = WatchRunner(api.ask, clock, hand_over)
    await runner.configure([Watch(type="nodes", args=("x",))])
    await clock.advance(0.1)
    assert told == ["3", "4"]
    await runner.stop()


async def test_new_watches_replace_the_old() -> None:
    api, clock = Api(), VirtualClock()
    runner = WatchRunner(api.ask, clock)
    await runner.configure([Watch(type="nodes", args=("x",))])
    await clock.advance(0.1)
    await runner.configure([Watch(type="services", args=("x",))])
    await clock.advance(0.1)
    assert [target for target, _ in api.asked] == ["/v1/catalog/nodes", "/v1/catalog/services"]
    await runner.stop()

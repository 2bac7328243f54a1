from __future__ import annotations

import json
from typing import Any

import pytest

from meshagent.agent.config.watches import Watch
from meshagent.agent.events import event_index
from meshagent.agent.watches.follow import Change, Follower
from meshagent.errors import MeshError


def answer(follower: Follower, index: int | str, value: Any, status: int = 200) -> Change | None:
    return follower.take(status, {"x-consul-index": str(index)}, json.dumps(value).encode())


def test_the_first_answer_is_news_and_the_next_read_waits_for_another() -> None:
    follower = Follower(Watch(type="nodes"))
    assert follower.target == "/v1/catalog/nodes"
    assert answer(follower, 5, [1]) == Change("5", [1])
    assert follower.target == "/v1/catalog/nodes?index=5"


def test_an_index_that_moves_without_a_change_is_no_news() -> None:
    follower = Follower(Watch(type="nodes"))
    answer(follower, 5, [1])
    assert answer(follower, 5, [1]) is None
    assert answer(follower, 6, [1]) is None
    assert answer(follower, 7, [2]) == Change("7", [2])


def test_an_index_that_falls_starts_anew() -> None:
    follower = Follower(Watch(type="nodes"))
    answer(follower, 50, [1])
    assert answer(follower, 9, [2]) == Change("9", [2])
    assert follower.target == "/v1/catalog/nodes"


def test_a_key_is_one_object_and_null_while_there_is_none() -> None:
    follower = Follower(Watch(type="key", key="k"))
    assert answer(follower, 3, "", status=404) == Change("3", None)
    assert answer(follower, 4, [{"Key": "k"}]) == Change("4", {"Key": "k"})
    assert answer(follower, 5, "", status=404) == Change("5", None)


def test_only_events_behind_the_last_one_are_handed_over() -> None:
    ids = [f"b54fe110-7af5-cafc-d1fb-afc8ba432b{number:02x}" for number in range(3)]
    events = [{"ID": id} for id in ids]
    follower = Follower(Watch(type="event"))
    assert answer(follower, event_index(ids[0]), events[:1]) == Change(str(event_index(ids[0])), events[:1])
    change = answer(follower, event_index(ids[2]), events)
    assert change is not None
    assert change.value == events[1:]
    assert follower.target == f"/v1/event/list?index={event_index(ids[2])}"  # indexes of events have no order


def test_a_service_of_the_agent_is_followed_by_its_hash() -> None:
    follower = Follower(Watch(type="agent_service", service_id="w"))
    change = follower.take(200, {"x-consul-contenthash": "ab"}, b'{"ID": "w"}')
    assert change == Change("ab", {"ID": "w"})
    assert follower.target == "/v1/agent/service/w?hash=ab"


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (500, {"x-consul-index": "1"}, b"No cluster leader"),
        (404, {"x-consul-index": "1"}, b"not here"),
        (200, {"x-consul-index": "1"}, b"<html>"),
        (200, {}, b"[]"),
        (200, {"x-consul-index": "-3"}, b"[]"),
    ],
)
def test_what_is_no_answer_is_a_failure(status: int, headers: dict[str, str], body: bytes) -> None:
    follower = Follower(Watch(type="nodes"))
    with pytest.raises(MeshError):
        follower.take(status, headers, body)
    assert follower.target == "/v1/catalog/nodes"


def test_pauses_grow_and_an_answer_ends_them() -> None:
    follower = Follower(Watch(type="nodes"))
    assert [follower.failed() for _ in range(7)] == [5, 20, 45, 80, 125, 180, 180]
    answer(follower, 1, [])
    assert follower.failed() == 5


def test_the_body_is_compact_json() -> None:
    assert Change("1", {"a": ["ü"]}).body == '{"a":["ü"]}\n'.encode()

"""Plans of a migration, with clusters that are dictionaries; real agents are in tests/e2e/test_migrate.py."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.cli.client import Answer, ApiError
from meshagent.agent.cli.migration import PARTS, difference, plan

BY_NAME = {part.name: part for part in PARTS}


class FakeApi:
    """GETs are answered from a table; what is put is kept. `refuse` are paths that answer 400."""

    def __init__(self, answers: dict[str, Any] | None = None, refuse: tuple[str, ...] = ()) -> None:
        self.answers = answers or {}
        self.refuse = refuse
        self.puts: list[tuple[str, Any]] = []

    def get(self, path: str, query: Any = ()) -> Any:
        if path not in self.answers:
            raise ApiError(500, "unknown")
        return self.answers[path]

    def put(self, path: str, query: Any = (), body: bytes = b"", value: Any = None) -> Answer:
        if path in self.refuse:
            raise ApiError(400, "no")
        self.puts.append((path, value if value is not None else body))
        return Answer(200, {}, b"true")

    def request(self, method: str, path: str, query: Any = (), body: bytes = b"", *, accept: Any = (200,)) -> Answer:
        if method == "POST":
            return self.put(path, value=json.loads(body))
        found = self.answers.get(path)
        return Answer(200 if found is not None else 404, {}, json.dumps(found).encode())


def key(name: str, value: bytes, flags: int = 0, index: int = 1) -> dict[str, Any]:
    row = {"Key": name, "Flags": flags, "Value": base64.b64encode(value).decode() or None}
    return {**row, "CreateIndex": index, "ModifyIndex": index, "LockIndex": 0}


def test_only_what_is_missing_or_different_is_written_and_nothing_deleted() -> None:
    part = BY_NAME["kv"]
    source = part.read(FakeApi({"kv/": [key("a", b"1"), key("b", b"2", 7), key("c", b"3", index=9)]}))
    target = part.read(FakeApi({"kv/": [key("b", b"1", 7), key("c", b"3"), key("d", b"4")]}))
    steps = plan(part, source, target)
    assert [(step.name, step.old is None) for step in steps] == [("a", True), ("b", False)]
    assert list(difference(steps[1]))[-2:] == ["-1", "+2"]
    assert part.read(FakeApi()) == {}


@given(st.dictionaries(st.text(max_size=8), st.binary(max_size=3000), max_size=200))
def test_every_key_is_written_once_in_pieces_that_a_transaction_takes(values: dict[str, bytes]) -> None:
    part = BY_NAME["kv"]
    target = FakeApi()
    source = part.read(FakeApi({"kv/": [key(name, value) for name, value in values.items()]}))
    assert [problem for _, problem in part.write(target, plan(part, source, {}))] == [""] * len(values)
    sent = [operation["KV"]["Key"] for path, operations in target.puts if path == "txn" for operation in operations]
    assert sent == list(values)
    assert all(len(operations) <= 64 for _, operations in target.puts)


def test_a_refused_transaction_is_tried_key_by_key() -> None:
    part = BY_NAME["kv"]
    target = FakeApi(refuse=("txn", "kv/bad"))
    written = list(part.write(target, plan(part, part.read(FakeApi({"kv/": [key("bad", b"x"), key("ok", b"y")]})), {})))
    assert [(step.name, bool(problem)) for step, problem in written] == [("bad", True), ("ok", False)]
    assert target.puts == [("kv/ok", b"y")]


def test_what_a_cluster_gives_out_itself_is_no_difference() -> None:
    part = BY_NAME["config"]
    row = {"Kind": "service-defaults", "Name": "web", "Protocol": "http", "CreateIndex": 3, "ModifyIndex": 4, "Hash": 9}
    read = [part.read(FakeApi({"config/service-defaults": [{**row, "ModifyIndex": at}]})) for at in (1, 2)]
    assert (
        read[0] == read[1] == {"service-defaults/web": {"Kind": "service-defaults", "Name": "web", "Protocol": "http"}}
    )


def test_links_go_by_name_and_objects_under_the_id_that_the_target_has() -> None:
    part = BY_NAME["acl-roles"]
    source = part.read(FakeApi({"acl/roles": [{"ID": "1", "Name": "ops", "Policies": [{"ID": "p1", "Name": "all"}]}]}))
    there = FakeApi({"acl/roles": [{"ID": "2", "Name": "ops", "Policies": [{"ID": "p2", "Name": "none"}]}]})
    steps = plan(part, source, part.read(there))
    assert [problem for _, problem in part.write(there, steps)] == [""]
    assert there.puts == [("acl/role/2", {"ID": "2", "Name": "ops", "Policies": [{"Name": "all"}]})]


def test_secrets_are_not_shown() -> None:
    part = BY_NAME["acl-tokens"]
    (step,) = plan(part, {"a": {"AccessorID": "a", "SecretID": "f00d"}}, {})
    shown = "\n".join(difference(step))
    assert "(hidden)" in shown
    assert "f00d" not in shown


def test_queries_that_die_with_a_session_stay_behind() -> None:
    part = BY_NAME["queries"]
    rows = [{"ID": "1", "Name": "q", "Session": ""}, {"ID": "2", "Name": "mine", "Session": "s"}]
    source = part.read(FakeApi({"query": rows}))
    assert set(source) == {"q"}
    fresh, there = FakeApi(), FakeApi({"query": [{"ID": "9", "Name": "q", "Tags": ["x"]}]})
    for target in (fresh, there):
        held = {} if target is fresh else part.read(there)
        assert [problem for _, problem in part.write(target, plan(part, source, held))] == [""]
    assert (fresh.puts[0][0], there.puts[0][0]) == ("query", "query/9")


@pytest.mark.parametrize("name", [part.name for part in PARTS])
def test_an_empty_plan_writes_nothing(name: str) -> None:
    target = FakeApi()
    assert list(BY_NAME[name].write(target, [])) == []
    assert target.puts == []

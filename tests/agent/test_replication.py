"""One round of copying after the other, from a primary that is a table of answers."""

from typing import Any

import pytest
from meshtest.httpapi import make_agent

from meshagent.agent.acl import shapes
from meshagent.agent.http.response import encode_json
from meshagent.agent.replication import LONGEST_S, Replicator, State, Table, tables
from meshagent.catalog import commands as c
from meshagent.catalog.acl.model import Policy, Token
from meshagent.catalog.entries.table import parse
from meshagent.catalog.store import Store
from meshagent.errors import InternalError, MeshError


class Copying(Replicator):
    """Asks `primary`, a store, in place of a server."""

    def __init__(self) -> None:
        agent = make_agent()
        agent.config.acl.enabled = True  # type: ignore[misc]
        agent.config.acl.enable_token_replication = True  # type: ignore[attr-defined]
        self.agent = agent
        self.primary = Store()
        self.asked: list[str] = []
        self.error: MeshError | None = None
        self.name = "dc1"
        asked: Any = self
        super().__init__(agent, asked)
        self.table = {table.name: table for table in self.tables}

    async def ask(self, path: str, query: str) -> tuple[bytes, int]:
        self.asked.append(path)
        if self.error is not None:
            raise self.error
        acl, rows = self.primary.acl, []
        index = self.primary.index
        if path.startswith("/v1/acl/policy/"):
            return bytes(encode_json(shapes.policy(acl.policies[path.removeprefix("/v1/acl/policy/")]))), index
        if path == "/v1/acl/policies":
            rows = [shapes.listed_policy(row) for row in acl.policies.values()]
        elif path == "/v1/acl/roles":
            rows = [shapes.role(acl, row) for row in acl.roles.values()]
        elif path == "/v1/acl/tokens":
            rows = [shapes.token(acl, row, secret=True) for row in acl.tokens.values()]
        else:
            return bytes(encode_json(self.primary.config.all())), index
        return bytes(encode_json(rows)), index

    async def all(self) -> None:
        for table in self.tables:
            await self.round(table, 0)


def policy(number: int, name: str = "") -> c.AclPolicySet:
    return c.AclPolicySet(
        Policy(id=f"p{number}", name=name or f"n{number}", rules=f'key "{number}" {{ policy = "read" }}')
    )


def entry(**raw: Any) -> c.ConfigEntrySet:
    made: Any = parse(raw)
    return c.ConfigEntrySet(made)


async def test_tables_become_equal_and_are_left_alone_then() -> None:
    copying = Copying()
    here, there = copying.agent.store, copying.primary
    there.execute(policy(1))
    there.execute(policy(2, "taken"))
    here.execute(policy(3, "taken"))  # the name of another there: it goes first
    there.execute(c.AclTokenSet(Token(accessor_id="a", secret_id="s", policies=("p1",), auth_method="")))
    here.execute(c.AclTokenSet(Token(accessor_id="own", secret_id="o", local=True)))
    here.execute(c.AclTokenSet(Token(accessor_id="old", secret_id="x")))
    await copying.all()
    assert {row.name for row in here.acl.policies.values()} == {"n1", "taken"}
    assert here.acl.policies["p1"].rules == there.acl.policies["p1"].rules
    assert set(here.acl.tokens) == {"a", "own"}
    assert here.acl.by_secret("s") is not None
    index, copying.asked = here.index, []
    await copying.all()
    assert here.index == index
    assert "/v1/acl/policy/p1" not in copying.asked  # equal hashes: no rules are fetched
    assert copying.state.shown()["ReplicatedIndex"] == there.index


async def test_entries_that_refer_to_each_other_come_in_any_order() -> None:
    copying = Copying()
    splits = [{"Weight": 50}, {"Weight": 50, "Service": "b"}]
    copying.primary.execute(entry(Kind="service-defaults", Name="web", Protocol="http"))
    copying.primary.execute(entry(Kind="service-defaults", Name="b", Protocol="http"))
    copying.primary.execute(entry(Kind="service-splitter", Name="web", Splits=splits))
    await copying.round(copying.table["config-entries"], 0)
    here = copying.agent.store.config
    assert [(row.kind, row.name) for row in here.all()] == [
        ("service-defaults", "b"), ("service-defaults", "web"), ("service-splitter", "web"),
    ]  # fmt: skip
    copying.primary.execute(c.ConfigEntryDelete("service-splitter", "web"))
    copying.primary.execute(c.ConfigEntryDelete("service-defaults", "web"))
    await copying.round(copying.table["config-entries"], 0)
    assert [(row.kind, row.name) for row in here.all()] == [("service-defaults", "b")]


async def test_what_can_never_be_written_ends_the_round() -> None:
    copying = Copying()
    copying.primary.execute(entry(Kind="service-defaults", Name="web", Protocol="http"))
    refusing = Table(
        "config-entries", "/v1/config/", copying.table["config-entries"].read, copying.table["config-entries"].own,
        lambda row: c.ConfigEntrySet(parse({"Kind": "service-router", "Name": "x", "Routes": [{}]})),  # type: ignore[arg-type]
        copying.table["config-entries"].delete,
    )  # fmt: skip
    with pytest.raises(InternalError):
        await copying.round(refusing, 0)


async def test_failures_are_told_and_leave_what_is_here() -> None:
    copying = Copying()
    copying.primary.execute(policy(1))
    clock: Any = copying.agent.clock
    task = copying.agent.tasks.start(copying.follow(copying.table["policies"]), name="copying")
    await clock.advance(0.1)
    state = copying.state
    assert (state.running, state.last_message) == (True, "")
    copying.error = InternalError("No path to datacenter")
    copying.primary.execute(c.AclPolicyDelete("p1"))
    await clock.advance(2 * LONGEST_S)
    assert state.last_message == "policies: No path to datacenter"
    assert state.last_error > "2"
    assert set(copying.agent.store.acl.policies) == {"p1"}
    copying.error = None
    await clock.advance(2 * LONGEST_S)
    assert not copying.agent.store.acl.policies
    assert state.last_success > state.last_error
    task.cancel()
    await clock.advance(0.1)
    assert (state.running, state.indexes) == (False, {})


def test_which_tables_are_followed() -> None:
    def names(**given: bool) -> list[str]:
        return [table.name for table in tables(**given)]

    assert names(acls=False, tokens=True) == ["config-entries"]
    assert names(acls=True, tokens=False) == ["policies", "roles", "config-entries"]
    assert names(acls=True, tokens=True) == ["policies", "roles", "tokens", "config-entries"]


def test_without_a_primary_nothing_is_enabled() -> None:
    shown = State().shown()
    assert (shown["Enabled"], shown["SourceDatacenter"], shown["LastSuccess"]) == (False, "", "0001-01-01T00:00:00Z")

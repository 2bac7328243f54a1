"""What of followed rows a token may see; whole agents with tokens are tests/e2e/test_acl.py."""

from __future__ import annotations

from typing import Any

import pytest

from meshagent.agent.acl.access import Access
from meshagent.agent.acl.rows_visible import config_entries, mesh_services
from meshagent.catalog.acl.authorizer import Authorizer
from meshagent.catalog.acl.rules import Rule
from meshagent.catalog.entries.table import parse
from meshagent.catalog.mesh_services import MeshService


def access(*rules: Rule) -> Access:
    return Access(Authorizer(rules))


def intentions(name: str) -> Any:
    return parse({"Kind": "service-intentions", "Name": name, "Sources": [{"Name": "*", "Action": "deny"}]})


@pytest.mark.parametrize(
    ("rules", "wanted"),
    [
        ((), ["*"]),
        ((Rule("service", "api", True, "write"),), ["*", "api"]),
        ((Rule("service", "", False, "read"),), ["*", "api", "db"]),
        ((Rule("service", "", False, "read", intentions="deny"),), ["*"]),
    ],
)
def test_intentions_for_every_service_are_hidden_from_nobody(rules: tuple[Rule, ...], wanted: list[str]) -> None:
    rows = [intentions(name) for name in ("*", "api", "db")]
    assert [row.name for row in config_entries(rows, access(*rules))] == wanted


def test_other_entries_for_all_are_not_meant() -> None:
    rows = [parse({"Kind": "service-defaults", "Name": "api", "Protocol": "http"})]
    assert config_entries(rows, access()) == ()


def test_services_of_the_mesh_are_for_who_may_read_them() -> None:
    rows = (MeshService("api", ("240.0.0.1",)), MeshService("db", ("240.0.0.2",)))
    assert mesh_services(rows, access(Rule("service", "db", True, "read"))) == rows[1:]

"""The least that must be allowed, and that it is enough."""

from __future__ import annotations

from typing import Any

from meshagent.catalog.entries.entry import Entry
from meshagent.catalog.entries.service_intentions import ServiceIntentions
from meshagent.catalog.entries.table import parse
from meshagent.connect.proxy.telemetry.series import Series
from meshagent.connect.suggestions import from_edges, from_lines, suggested


def edge(
    source: str, destination: str, direction: str = "inbound", connections: int = 0, **paths: int
) -> dict[str, Any]:
    series = Series((direction, source, destination, ""))
    series.connections = connections
    for name, count in paths.items():
        method, _, path = name.partition("_")
        series.paths[method.upper(), f"/{path}"] = [count]
        series.requests[2] += count
    return series.shown()


EDGES = [
    edge("web", "api", get_items=5, post_items=1),
    edge("shop", "api", get_=2),
    edge("web", "db", connections=3),
    edge("web", "api", direction="outbound", get_items=9),
    edge("(other)", "api", connections=4),
    edge("idle", "api"),
]


def test_whole_sources() -> None:
    assert suggested(from_edges(EDGES)) == [
        {"Kind": "service-intentions", "Name": "api", "Sources": [
            {"Name": "shop", "Action": "allow", "Description": "seen 2 times"},
            {"Name": "web", "Action": "allow", "Description": "seen 6 times"}]},
        {"Kind": "service-intentions", "Name": "db", "Sources": [
            {"Name": "web", "Action": "allow", "Description": "seen 3 times"}]},
    ]  # fmt: skip


def test_paths_and_methods() -> None:
    api, db = suggested(from_edges(EDGES), paths=True, deny_others=True)
    shop, web, others = api["Sources"]
    assert others == {"Name": "*", "Action": "deny"}
    assert [one["HTTP"] for one in web["Permissions"]] == [
        {"PathExact": "/items", "Methods": ["GET", "POST"]}, {"PathPrefix": "/items/", "Methods": ["GET", "POST"]},
    ]  # fmt: skip
    assert [one["HTTP"] for one in shop["Permissions"]] == [{"PathExact": "/", "Methods": ["GET"]}]
    assert db["Sources"][0]["Action"] == "allow", "connections have no paths"


def test_they_are_ready_to_apply() -> None:
    for options in ({}, {"paths": True, "deny_others": True}):
        for raw in suggested(from_edges(EDGES), **options):
            entry: Entry = parse(raw)
            assert isinstance(entry, ServiceIntentions)
            assert entry.problem() == ""


def test_too_many_paths_are_not_told_apart() -> None:
    many = edge("web", "api", **{f"get_p{at}": 1 for at in range(30)})
    (entry,) = suggested(from_edges([many]), paths=True)
    assert entry["Sources"][0]["Action"] == "allow"


def test_what_was_written_down() -> None:
    tap = {
        "direction": "inbound",
        "source": "web",
        "destination": "api",
        "method": "GET",
        "path": "/a/b?c",
        "upstream": "x",
    }
    lines: list[dict[str, Any] | str] = [
        tap, tap, {**tap, "upstream": "", "source": "evil"}, {**tap, "direction": "outbound"}, {"method": ""},
        "x [INFO] intention audit: would be denied: source=old destination=db reason=why", "another line",
    ]  # fmt: skip
    assert from_lines(lines) == {("web", "api"): {("GET", "/a"): 2}, ("old", "db"): {("", ""): 1}}

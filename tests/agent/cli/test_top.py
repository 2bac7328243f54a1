"""The table of edges."""

from __future__ import annotations

from rich.console import Console

from meshagent.agent.cli.top import _text, between, table_of
from meshagent.agent.cli.traffic import Look, Sidecar
from meshagent.connect.proxy.telemetry.series import Series
from meshagent.connect.traffic import Row

ROWS = [
    Row("outbound", "web", "api", "default", 120.5, 99.95, 1.2, 4.5, 9.9, 0.5, 3, 0.1, 0, 20480.0),
    Row("inbound", "evil", "api", "", 0.0, None, None, None, None, 0.0, 0, 0.0, 7, 0.0),
]


def test_as_text() -> None:
    head, first, second = _text(ROWS).splitlines()
    assert head.split()[:4] == ["SIDE", "SOURCE", "DESTINATION", "ROUTE"]
    assert first.split() == [
        "out",
        "web",
        "api",
        "default",
        "120.5",
        "99.95%",
        "1.2",
        "4.5",
        "9.9",
        "0.5",
        "3",
        "0.1",
        "0",
        "20.0",
    ]
    assert second.split() == ["in", "evil", "api", "0.0", "-", "-", "-", "-", "0.0", "0", "0.0", "7", "0.0"]


def test_as_a_table() -> None:
    console = Console(width=140, force_terminal=True, color_system="standard", record=True)
    console.print(table_of(ROWS))
    shown = console.export_text(styles=True)
    assert "\x1b[32m 99.95%" in shown
    assert "\x1b[31m     7" in shown
    console.print(table_of(ROWS, ("n2: away",)))
    assert "not included: n2: away" in console.export_text()


def test_a_sidecar_that_has_just_come_counts_from_there() -> None:
    def sidecar(node: str, requests: int) -> Sidecar:
        series = Series(("inbound", "web", "api", ""))
        series.requests[2] = requests
        return Sidecar(node, "api", "api-proxy", (series.shown(),))

    before, after = Look((sidecar("n1", 10), sidecar("n2", 7))), Look((sidecar("n1", 30), sidecar("n3", 1000)))
    (row,) = between(before, after, 2.0)
    assert row.requests_per_s == 10.0, "n2 is away for now, n3 is new"

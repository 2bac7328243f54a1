"""`meshagent health`: our own view of checks at a glance.

Source: it has no counterpart in Consul; the data is `health/state/any` or `health/service/<name>`. What may change
here: the look on a terminal.
"""

from __future__ import annotations

from typing import Any

from meshagent.agent.cli.client import Client
from meshagent.agent.cli.flags import api_command, expect, switch, text
from meshagent.agent.cli.output import fail, on_terminal, say, show_json, show_table

__all__ = ["health"]

#: The worst first.
_ORDER = {"critical": 0, "maintenance": 0, "warning": 1, "passing": 2}
_OUTPUT_CHARACTERS = 100


@api_command("health", "[SERVICE]", "Show services with their checks and outputs at a glance")
@text("filter", "Filter expression over checks, e.g. 'Status != passing'")
@switch("exit-code", "Exit with 1 if the worst check is warning, with 2 if it is critical")
@text("format", "Output: pretty or json", default="pretty")
def health(client: Client, args: tuple[str, ...], filter: str, exit_code: bool, format: str) -> int:
    """Show all checks, or those of one service and its nodes, the worst first, each with its output."""
    expect(args, 0, 1)
    query = {"filter": filter} if filter else {}
    if args:
        entries = client.get(f"health/service/{args[0]}")
        if not entries:
            raise fail(f"No service {args[0]} is registered; meshagent catalog services lists what is")
        wanted = {(c["Node"], c["CheckID"]) for e in entries for c in e["Checks"]}
        checks = [c for c in client.get("health/state/any", query) if (c["Node"], c["CheckID"]) in wanted]
    else:
        checks = client.get("health/state/any", query)
    checks.sort(key=lambda c: (_ORDER.get(c["Status"], 0), c["ServiceName"], c["Node"], c["CheckID"]))
    if format == "json":
        show_json(checks)
    else:
        _show(checks)
    worst = min((_ORDER.get(c["Status"], 0) for c in checks), default=2)
    return 2 - worst if exit_code else 0


def _show(checks: list[dict[str, Any]]) -> None:
    if checks:
        table = [["Status", "Service", "Node", "Check", "Output"]]
        table += [[c["Status"], c["ServiceName"] or "-", c["Node"], c["CheckID"], _first_line(c)] for c in checks]
        show_table(table)
    counts: dict[str, int] = {}
    for check in checks:
        counts[check["Status"]] = counts.get(check["Status"], 0) + 1
    if on_terminal() or not checks:
        summary = ", ".join(f"{count} {status}" for status, count in sorted(counts.items(), key=_rank))
        say(f"\n{summary}" if checks else "No checks match.")


def _rank(item: tuple[str, int]) -> int:
    return _ORDER.get(item[0], 0)


def _first_line(check: dict[str, Any]) -> str:
    line: str = (check["Output"].strip() or check["Notes"].strip() or "-").splitlines()[0]
    return line if len(line) <= _OUTPUT_CHARACTERS else line[: _OUTPUT_CHARACTERS - 3] + "..."

"""What commands print: Consul's plain columns for scripts, rich tables where a person looks.

Source: the output of Consul's commands (github.com/ryanuber/columnize and Go's text/tabwriter). A terminal gets
colours, unless NO_COLOR is set. What may change here: the look on a terminal; plain columns are parsed by scripts.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

__all__ = ["aligned", "columns", "fail", "say", "show_json", "show_table", "tabbed"]

_STYLES = {
    "passing": "green",
    "alive": "green",
    "leader": "green",
    "warning": "yellow",
    "leaving": "yellow",
    "critical": "red",
    "failed": "red",
    "maintenance": "magenta",
    "left": "dim",
}


def say(text: str = "") -> None:
    """A line on standard output."""
    click.echo(text)


def fail(message: str) -> click.ClickException:
    """The error that ends a command with `message` on standard error and status 1."""
    return click.ClickException(message)


def show_json(value: Any) -> None:
    """Indented by four, as Consul prints it."""
    say(json.dumps(value, indent=4, ensure_ascii=False))


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows aligned with two spaces between columns; the last column is not padded."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)]
        lines.append("  ".join([*cells, row[-1]]))
    return "\n".join(lines)


def tabbed(rows: Sequence[Sequence[str]], padding: int = 6) -> str:
    """Rows as Go's tabwriter aligns them: each cell but the last padded to the widest plus `padding`."""
    width = max((len(cell) for row in rows for cell in row[:-1]), default=0) + padding
    return "\n".join("".join(cell.ljust(width) for cell in row[:-1]) + row[-1] for row in rows)


def aligned(rows: Sequence[Sequence[str]], *, least: int = 8, padding: int = 6) -> str:
    """Rows as Go's tabwriter aligns them, each column by its own widest cell; the last cell of a row is not padded."""
    widths: dict[int, int] = {}
    for row in rows:
        for at, cell in enumerate(row[:-1]):
            widths[at] = max(widths.get(at, least), len(cell) + padding)
    return "\n".join("".join(cell.ljust(widths[at]) for at, cell in enumerate(row[:-1])) + row[-1] for row in rows)


def on_terminal() -> bool:
    """Whether a person is looking at standard output."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def show_table(rows: Sequence[Sequence[str]]) -> None:
    """The first row is the heading."""
    if not on_terminal():
        say(columns(rows))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in rows[0]:
        table.add_column(heading, overflow="fold")
    for row in rows[1:]:
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    Console().print(table)

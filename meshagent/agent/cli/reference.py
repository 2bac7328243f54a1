"""`meshagent reference config|http|cli|metrics`: the references, made from the tables; docs/generate.py uses them too.

Source: our own. What may change here: the form; the content comes from where each thing is declared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

from meshagent.agent.cli.flags import command, expect
from meshagent.agent.cli.output import fail, say
from meshagent.agent.cli.table import SUBCOMMANDS

if TYPE_CHECKING:
    from meshagent.agent.http.routes import Route

__all__ = ["REFERENCES", "endpoint", "reference"]


def endpoint(route: Route) -> str:
    """`GET /v1/query/<name>/execute`."""
    name = "<name>" if route.path.endswith("/") else ""
    return f"{route.method} {route.path}{name}{route.suffix}"


def _cli() -> Iterator[str]:
    from meshagent.agent.cli.root import PROGRAM, root

    yield "# Command line\n"
    yield "Flags are written `-flag=value` or `-flag value`, with one dash or two, before other words."
    for row in SUBCOMMANDS:
        ctx = click.Context(root, info_name=PROGRAM)
        found: click.Command = root
        for name in row.path.split():
            assert isinstance(found, click.Group)  # noqa: S101  paths go through groups
            below = found.get_command(ctx, name)
            assert below is not None  # noqa: S101  the row exists
            found = below
            ctx = click.Context(found, info_name=name, parent=ctx)
        yield f"\n## {PROGRAM} {row.path}\n"
        yield f"{row.help}.{f' Row {row.row}.' if row.row else ''}\n"
        yield f"```\n{found.get_help(ctx)}\n```"


def _http() -> Iterator[str]:
    from meshagent.agent.http.routes import load_routes

    yield "# HTTP API\n"
    yield "| Endpoint | What it does | State | ACL | Row |\n| --- | --- | --- | --- | --- |"
    for route in load_routes():
        state = "built" if route.built else "not built yet"
        yield f"| `{endpoint(route)}` | {_cell(route.summary)} | {state} | {_cell(route.acl)} | {route.row} |"


def _metrics() -> Iterator[str]:
    from meshagent.metrics_names import DECLARED

    yield "# Metrics\n"
    yield "| Name | Kind | What it says |\n| --- | --- | --- |"
    for row in DECLARED:
        yield f"| `{row.name}` | {row.kind} | {_cell(row.help)} |"


def _config() -> Iterator[str]:
    from meshagent.agent.config import reference as options

    yield options().rstrip("\n")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


#: Name -> what makes its lines.
REFERENCES: dict[str, Callable[[], Iterator[str]]] = {
    "config": _config,
    "http": _http,
    "cli": _cli,
    "metrics": _metrics,
}


@command("reference", "|".join(REFERENCES), "Print a reference as Markdown: config, http, cli or metrics")
def reference(args: tuple[str, ...]) -> None:
    """Print a reference as Markdown: every configuration option, HTTP endpoint, command or metric."""
    expect(args, 1, 1, f"Name a reference: {', '.join(REFERENCES)}")
    if args[0] not in REFERENCES:
        raise fail(f"there is no reference {args[0]}: use {', '.join(REFERENCES)}")
    say("\n".join(REFERENCES[args[0]]()))

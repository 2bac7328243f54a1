"""`meshagent reference config|http|cli`: the references in docs/, made from the tables.

Source: our own. What may change here: the form; the content comes from where each thing is declared.
"""

from __future__ import annotations

from collections.abc import Iterator

import click

from meshagent.agent.cli.flags import command, expect
from meshagent.agent.cli.output import fail, say
from meshagent.agent.cli.table import SUBCOMMANDS

__all__ = ["reference"]


@command("reference", "config|http|cli", "Print the reference of config, http or cli as Markdown")
def reference(args: tuple[str, ...]) -> None:
    """Print a reference as Markdown: every configuration option, HTTP endpoint or command."""
    expect(args, 1, 1, f"Name a reference: {', '.join(_REFERENCES)}")
    if args[0] not in _REFERENCES:
        raise fail(f"there is no reference {args[0]}: use {', '.join(_REFERENCES)}")
    say("\n".join(_REFERENCES[args[0]]()))


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
    yield "| Endpoint | What it does | ACL | Row |\n| --- | --- | --- | --- |"
    for route in load_routes():
        yield f"| `{route.method} {route.path}` | {_cell(route.summary)} | {_cell(route.acl)} | {route.row} |"


def _config() -> Iterator[str]:
    from meshagent.agent.config import reference as options

    yield options().rstrip("\n")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


_REFERENCES = {"config": _config, "http": _http, "cli": _cli}

"""The command tree over the table of commands, and how errors end a command.

Source: surface section 8 (exit status 0, 1, 127 for what is no command); CL rows. What is not built yet ends with 1.
Modules of commands are imported when they are run. What may change here: the look of help.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from meshagent.agent.cli.table import GROUPS, SUBCOMMANDS
from meshagent.errors import MeshError

__all__ = ["root", "run"]

PROGRAM = "meshagent"


class TableGroup(click.Group):
    """The commands of the table under one path."""

    def __init__(self, path: str, **settings: Any) -> None:
        super().__init__(path.rsplit(" ", 1)[-1] or PROGRAM, add_help_option=False, **settings)
        self.path = path

    def _below(self) -> dict[str, str]:
        """Name -> help of what is directly below."""
        start = f"{self.path} " if self.path else ""
        found = {}
        for full, text in [*((row.path, row.help) for row in SUBCOMMANDS), *GROUPS.items()]:
            rest = full.removeprefix(start)
            if full.startswith(start) and " " not in rest:
                found[rest] = text
        return dict(sorted(found.items()))

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._below())

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        full = f"{self.path} {name}" if self.path else name
        if full in GROUPS:
            return TableGroup(full, short_help=GROUPS[full])
        for row in SUBCOMMANDS:
            if row.path == full:
                module = import_module(f"meshagent.agent.cli.{row.module}")
                made: click.Command = getattr(module, row.attribute)
                return made
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self._below().items()))

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(ctx.command_path, "<command> [options] [args]")


root = TableGroup("", help="Service discovery and a service mesh in one daemon, compatible with Consul.")


def run(args: Sequence[str]) -> int:
    """Run one command line; errors become one line on standard error."""
    words = list(args)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name must not end a listing
    if words[:1] in (["-v"], ["-version"], ["--version"]):
        words = ["version"]
    group, rest = root, words
    ctx = click.Context(root, info_name=PROGRAM)
    if "_MESHAGENT_COMPLETE" not in os.environ:
        # What is not a command: help, and the status that Consul's command line gives it.
        while isinstance(group, TableGroup):
            if not rest or rest[0] in ("-h", "-help", "--help"):
                click.echo(group.get_help(ctx), err=not rest)
                return 0 if rest else (127 if group is root else 1)
            found = group.get_command(ctx, rest[0])
            if found is None:
                return _no_command(group, rest, ctx)
            ctx = click.Context(found, info_name=rest[0], parent=ctx)
            group, rest = found, rest[1:]  # type: ignore[assignment]
    try:
        status = root.main(words, prog_name=PROGRAM, standalone_mode=False)
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx is not None else PROGRAM
        click.echo(f"{error.format_message()}; {where} -help says more", err=True)
        return 1
    except click.ClickException as error:
        click.echo(error.format_message(), err=True)
        return error.exit_code
    except MeshError as error:
        click.echo(f"Error: {error}", err=True)
        return 1
    except (KeyboardInterrupt, click.Abort):
        return 130
    return status if isinstance(status, int) else 0


def _no_command(group: TableGroup, rest: Sequence[str], ctx: click.Context) -> int:
    """Say that the first of `rest` is no command of `group`, and what to do; the status."""
    from difflib import get_close_matches

    above = group.path.split()
    typed = " ".join([*above, rest[0]])
    near = get_close_matches(rest[0], group.list_commands(ctx), 1)
    if near:
        meant = " ".join([PROGRAM, *above, near[0]])
        click.echo(f"there is no command {typed} (did you mean '{meant}'?)", err=True)
    else:
        click.echo(f"there is no command {typed}\n\n{group.get_help(ctx)}", err=True)
    return 127

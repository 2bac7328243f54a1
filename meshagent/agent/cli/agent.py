"""`meshagent agent`: runs the daemon.

Source: surface row CL1. The flags are those that the configuration's options declare. This module is imported without
click, for an agent must start quickly. What may change here: nothing, flags are declared elsewhere.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from meshagent.agent.cli.go_flags import HelpWanted, UsageProblem, read_flags
from meshagent.errors import ConfigError

if TYPE_CHECKING:
    import click

    from meshagent.agent.config import Flag

__all__ = ["given_flags", "run_agent"]

#: Files and directories are read in the order given, so both kinds go under one key.
_PATHS = "@config-file"


def run_agent(args: Sequence[str]) -> int:
    """Read the flags and run the daemon until it ends; the exit status."""
    from meshagent.late_msgspec import prepare

    prepare()
    try:
        flags = given_flags(args)
    except HelpWanted:
        print(_help())
        return 0
    except UsageProblem as problem:
        print(f"{problem}; meshagent agent -help lists the flags", file=sys.stderr)
        return 1
    from meshagent.agent.process import run

    try:
        return run(flags)
    except ConfigError as error:
        for line in [*(f"warning: {text}" for text in error.warnings), *error.problems]:
            print(f"==> {line}", file=sys.stderr)
        return 1


def given_flags(args: Sequence[str]) -> dict[str, Any]:
    """Values of the flags in `args` by option key (`ports.http`); those that say where to read from begin with `@`:
    `@dev`, `@config-file` (files and directories, in order), `@config-format`, `@hcl`.

    Raises:
        UsageProblem, HelpWanted
    """
    from meshagent.agent.config import flags

    by_name = {name.lstrip("-"): flag for flag in flags() for name in flag.names}
    words, rest = read_flags(args, {name: flag.type == "bool" for name, flag in by_name.items()})
    if rest:
        raise UsageProblem(f"Unexpected extra arguments: [{' '.join(rest)}]")
    found: dict[str, Any] = {}
    for name, word in words:
        flag = by_name[name]
        value = _typed(flag, name, word)
        key = _PATHS if flag.key == "@config-dir" else flag.key
        if flag.multiple:
            found.setdefault(key, []).append(value)
        else:
            found[key] = value
    return found


def _typed(flag: Flag, name: str, word: str) -> Any:
    if flag.type == "bool":
        return word == "true"
    if flag.type != "int":
        return word
    try:
        return int(word)
    except ValueError:
        raise UsageProblem(f'invalid value "{word}" for flag -{name}: parse error') from None


def _help() -> str:
    import click

    return _command().get_help(click.Context(_command(), info_name="meshagent agent"))


def _command() -> click.Command:
    """The command for help, completion and the reference; `main` runs the agent without it."""
    import click

    from meshagent.agent.cli.flags import GoCommand, switch, text
    from meshagent.agent.config import flags

    def callback(**_given: Any) -> None:
        """Run an agent, which everything else on this host asks."""

    described = callback.__doc__
    for flag in reversed(flags()):
        callback = (switch if flag.type == "bool" else text)(flag.names[0].lstrip("-"), flag.help)(callback)
    return click.command("agent", cls=GoCommand, options_metavar="[options]", add_help_option=False, help=described)(
        callback
    )


def __getattr__(name: str) -> Any:
    """`agent`, the click command, made when it is asked for."""
    if name == "agent":
        return _command()
    raise AttributeError(name)

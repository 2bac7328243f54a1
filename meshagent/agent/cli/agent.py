"""`meshagent agent`: runs the daemon.

Source: surface row CL1. The flags are the options that the configuration declares with a flag name. This module is
imported without click, for an agent must start quickly. What may change here: nothing, flags are declared elsewhere.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from meshagent.agent.cli.go_flags import HelpWanted, UsageProblem, read_flags
from meshagent.errors import ConfigError

if TYPE_CHECKING:
    import click

__all__ = ["run_agent"]


def run_agent(args: Sequence[str]) -> int:
    """Read the flags and run the daemon until it ends; the exit status."""
    from meshagent.agent.config import FLAGS

    try:
        flags, rest = read_flags(args, {name: flag.switch for name, flag in FLAGS.items()})
        if rest:
            raise UsageProblem(f"Unexpected extra arguments: [{' '.join(rest)}]")
    except HelpWanted:
        print(_help())
        return 0
    except UsageProblem as problem:
        print(f"{problem}; meshagent agent -help lists the flags", file=sys.stderr)
        return 1
    from meshagent.agent.daemon import run

    try:
        return run(flags)
    except ConfigError as error:
        for line in error.problems:
            print(f"==> {line}", file=sys.stderr)
        return 1


def _help() -> str:
    import click

    return _command().get_help(click.Context(_command(), info_name="meshagent agent"))


def _command() -> click.Command:
    """The command for help, completion and the reference; running it runs the daemon."""
    import click

    from meshagent.agent.cli.flags import GoCommand, switch, text
    from meshagent.agent.config import FLAGS

    def callback(**_given: Any) -> None:
        """Run an agent: a server or client of the cluster, which all others on this host ask."""

    for name, flag in reversed(FLAGS.items()):
        callback = (switch if flag.switch else text)(name, flag.help)(callback)
    made: click.Command = click.command(
        "agent", cls=GoCommand, options_metavar="[options]", add_help_option=False, help=callback.__doc__
    )(callback)
    return made


def __getattr__(name: str) -> Any:
    """`agent`, the click command, made when it is asked for."""
    if name == "agent":
        return _command()
    raise AttributeError(name)

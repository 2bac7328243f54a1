"""The command line: `meshagent <command>`, with the verbs, flags, output and exit codes of Consul's.

Source: surface section 8 (rows CL1-CL11, C33); developer.hashicorp.com/consul/commands. `table.py` lists every command,
one row each; a family of commands is one module. Nothing heavy is imported here: `meshagent agent` and `meshagent
version` go straight to their modules.

To add a command: write a function with `@command` or `@api_command` in the module of its family, add its row to
SUBCOMMANDS, and a test.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in `argv` (the process arguments by default); the exit status."""
    args = list(sys.argv[1:] if argv is None else argv)
    if args[:1] == ["agent"]:
        from meshagent.agent.cli.agent import run_agent

        return run_agent(args[1:])
    from meshagent.agent.cli.root import run

    return run(args)

"""`meshagent completion bash|zsh|fish`.

Source: click.palletsprojects.com/shell-completion. The script asks `meshagent` itself for words, so it never ages.
"""

from __future__ import annotations

from click.shell_completion import get_completion_class

from meshagent.agent.cli.flags import command, expect
from meshagent.agent.cli.output import fail, say

__all__ = ["completion"]

_SHELLS = ("bash", "zsh", "fish")


@command("completion", "SHELL", "Print shell completion for bash, zsh or fish")
def completion(args: tuple[str, ...]) -> None:
    """Print the completion of SHELL (bash, zsh or fish). For bash: source <(meshagent completion bash)"""
    expect(args, 1, 1, f"Name a shell: {', '.join(_SHELLS)}")
    found = get_completion_class(args[0]) if args[0] in _SHELLS else None
    if found is None:
        raise fail(f"{args[0]} is not known: use {', '.join(_SHELLS)}")
    from meshagent.agent.cli.root import PROGRAM, root

    # `source_vars` needs no bash to be installed, as `source` would.
    made = found(root, {}, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE")
    say(made.source_template % made.source_vars())

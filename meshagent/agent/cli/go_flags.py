"""Reading words as Go's flag package does; a leaf without imports, for `agent` must start quickly.

Source: pkg.go.dev/flag#hdr-Command_line_flag_syntax: one or two dashes; a switch takes a value only after `=`; `--`
ends the flags; so does the first word that is not a flag. What may change here: nothing, the syntax is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["HelpWanted", "UsageProblem", "read_flags"]

_TRUE = {"1", "t", "T", "true", "TRUE", "True"}
_FALSE = {"0", "f", "F", "false", "FALSE", "False"}


class UsageProblem(ValueError):
    """A flag that cannot be read, in Go's words."""


class HelpWanted(Exception):
    """`-h` or `-help` was given."""


def read_flags(args: Sequence[str], known: Mapping[str, bool]) -> tuple[list[tuple[str, str]], list[str]]:
    """(flags in order, words after them). `known` maps each name to whether it is a switch; the value of a switch is
    "true" or "false".

    Raises:
        UsageProblem, HelpWanted
    """
    flags: list[tuple[str, str]] = []
    at = 0
    while at < len(args):
        word = args[at]
        if len(word) < 2 or word[0] != "-":
            break
        at += 1
        if word == "--":
            break
        name, equals, value = word[2 if word[1] == "-" else 1 :].partition("=")
        if not name or name[0] in "-=":
            raise UsageProblem(f"bad flag syntax: {word}")
        if name not in known:
            if name in ("h", "help"):
                raise HelpWanted
            raise UsageProblem(f"flag provided but not defined: -{name}")
        if known[name]:
            flags.append((name, _switch(name, value if equals else "true")))
        elif equals:
            flags.append((name, value))
        elif at < len(args):
            flags.append((name, args[at]))
            at += 1
        else:
            raise UsageProblem(f"flag needs an argument: -{name}")
    return flags, list(args[at:])


def _switch(name: str, value: str) -> str:
    if value in _TRUE:
        return "true"
    if value in _FALSE:
        return "false"
    raise UsageProblem(f'invalid boolean value "{value}" for -{name}: parse error')

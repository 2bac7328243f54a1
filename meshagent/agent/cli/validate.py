"""`meshagent validate`.

Source: surface row CL4; developer.hashicorp.com/consul/commands/validate. The same code reads the files as when the
agent starts. What may change here: nothing that a script parses.
"""

from __future__ import annotations

from meshagent.agent.cli.flags import command, switch, text
from meshagent.agent.cli.output import fail, say
from meshagent.errors import ConfigError

__all__ = ["validate"]


@command("validate", "FILE_OR_DIRECTORY...", "Check configuration files")
@switch("quiet", "Say nothing when all is well")
@text("config-format", "Format of files with another extension: json or hcl")
def validate(args: tuple[str, ...], quiet: bool, config_format: str) -> None:
    """Check configuration files and directories as the agent would read them."""
    if not args:
        raise fail("Must specify at least one config file or directory")
    from meshagent.agent.config import load

    try:
        loaded = load(args, format=config_format)
    except ConfigError as error:
        lines = [f"Config validation failed: {error}", *(f"warning: {text}" for text in error.warnings)]
        raise fail("\n".join(lines)) from None
    if not quiet:
        for warning in loaded.warnings:
            say(warning)
        say("Configuration is valid!")

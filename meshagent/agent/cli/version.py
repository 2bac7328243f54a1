"""`meshagent version`.

Source: surface row CL4. Called as `consul` (an alias by link), the first line is Consul's own, for scripts cut the
number out of it. What may change here: further lines.
"""

from __future__ import annotations

import os
import sys

from meshagent import CONSUL_VERSION, __version__
from meshagent.agent.cli.flags import command, expect, text
from meshagent.agent.cli.output import fail, say, show_json

__all__ = ["version"]


@command("version", short_help="Show the version")
@text("format", "Output: pretty or json", default="pretty")
def version(args: tuple[str, ...], format: str) -> None:
    """Show the version of meshagent and of the Consul API it speaks."""
    expect(args, 0, 0)
    if format == "json":
        show_json(
            {
                "Version": CONSUL_VERSION,
                "Revision": "",
                "Prerelease": "",
                "RPC": {"Default": 2, "Min": 2, "Max": 3},
                "Meshagent": __version__,
            }
        )
    elif format == "pretty":
        first, second = f"meshagent v{__version__}", f"Consul v{CONSUL_VERSION}"
        if os.path.basename(sys.argv[0]) == "consul":
            first, second = second, first
        say(f"{first}\n{second}")
        say(
            "Protocol 2 spoken by default, understands 2 to 3 "
            "(agent will automatically use protocol >2 when speaking to compatible agents)"
        )
    else:
        raise fail(f'Unknown format: "{format}", use pretty or json')

"""I/O edge: rules given to `nft` on its standard input, all of them or none, in this network namespace or another.

Source: nft(8), nsenter(1). No shell has a part in it. What may change here: how a namespace is entered.
"""

from __future__ import annotations

import os
import shutil
import subprocess

from meshagent.errors import Unavailable

__all__ = ["apply_rules"]

#: Where administrators' programs are, for whoever has them not on his path.
_SBIN = "/usr/sbin:/sbin"


def apply_rules(script: str, netns: str = "") -> None:
    """Have nft take the script; `netns` is the path of a network namespace.

    Raises:
        Unavailable: it does not take it, or is not there.
    """
    line = [_program("nft", "nftables"), "-f", "-"]
    if netns:
        line = [_program("nsenter", "util-linux"), f"--net={netns}", *line]
    done = subprocess.run(line, input=script, capture_output=True, text=True, check=False)  # noqa: S603  no shell
    if done.returncode:
        said = done.stderr.strip() or f"{line[0]} ended with status {done.returncode}"
        hint = " (it takes root, or CAP_NET_ADMIN)" if "not permitted" in said else ""
        raise Unavailable(f"{said}{hint}")


def _program(name: str, package: str) -> str:
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:{_SBIN}")
    if found is None:
        raise Unavailable(f"{name} is not installed (package {package})")
    return found

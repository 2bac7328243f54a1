"""I/O edge: a network and mounts of this process's own, so that whatever it sets up goes when it goes.

The program starts itself again under `unshare`: as root, or as anybody where the kernel lets users have namespaces.
Where neither works it goes on as it is, and says what cannot be done then.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

MARK = "MESHTEST_PRIVATE"
PROBE = "mount -t tmpfs none /run && ip link add type bridge && ip netns add probe && nft list ruleset"


def enter() -> bool:
    """Does not return in the process that called it, but in the one that has its own network: then True."""
    if os.environ.get(MARK):
        _own_run_directory()
        return True
    wanted = "" if os.environ.get("MESHTEST_LOOPBACK") else _unshare()
    if wanted:
        os.environ[MARK] = "1"
        argv = [*wanted.split(), sys.executable, *sys.argv]
        os.execvp(argv[0], argv)
    return False


def _unshare() -> str:
    """The command that gives us namespaces, or nothing."""
    if not all(shutil.which(tool) for tool in ("unshare", "ip", "nft", "nsenter")):
        return ""
    for command in ("unshare --net --mount", "unshare --user --map-root-user --net --mount"):
        done = subprocess.run([*command.split(), "sh", "-c", PROBE], capture_output=True, check=False)
        if done.returncode == 0:
            return command
    return ""


def _own_run_directory() -> None:
    """`ip netns` keeps its names below /run; ours is empty and only for us."""
    subprocess.run(["mount", "-t", "tmpfs", "none", "/run"], check=True)

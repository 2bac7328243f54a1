"""I/O edge: network namespaces that a test makes for itself, and what it runs in them.

They go with the process that made them. Root makes them, or anybody where the kernel lets users have namespaces; where
it does not, the test is skipped and says so.
"""

from __future__ import annotations

import functools
import subprocess

import pytest

from meshtest.peers import program

__all__ = ["unshared"]


@functools.cache
def _way() -> tuple[tuple[str, ...], str]:
    """(what goes before a command that is to have a network of its own, why there is none)."""
    unshare, said = program("unshare"), ""
    for flags in (("--net", "--mount"), ("--user", "--map-root-user", "--net", "--mount")):
        probe = [unshare, *flags, program("nft"), "list", "ruleset"]
        done = subprocess.run(probe, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return (unshare, *flags), ""
        said = done.stderr.strip()
    return (), said


def unshared() -> list[str]:
    """What goes before a command that is to have a network of its own."""
    found, why = _way()
    if not found:
        pytest.skip(f"this kernel gives us no network namespace: {why}")
    return list(found)

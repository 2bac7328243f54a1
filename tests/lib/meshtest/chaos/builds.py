"""Builds with a rule taken out, as commands that start them: what the chaos runs must catch.

`python tests/chaos/broken.py NAME agent ...` changes classes before it starts the daemon; nothing in the product knows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from meshtest import ROOT

SCRIPT = ROOT / "tests" / "chaos" / "broken.py"


@dataclass(frozen=True, slots=True)
class Build:
    what: str
    change: Callable[[ExitStack], None]


def command_of(name: str) -> list[str] | None:
    """How to start a build; None for the real one."""
    return [sys.executable, str(SCRIPT), name] if name else None


def _simulated(name: str) -> Callable[[ExitStack], None]:
    """The same change as in the simulation."""

    def change(stack: ExitStack) -> None:
        from meshtest.sim.mutations import broken_by

        stack.enter_context(broken_by(name))

    return change


def _volatile(stack: ExitStack) -> None:
    from meshtest.chaos.volatile_disk import VolatileDisk

    _on_disk(VolatileDisk)


def _no_fsync(stack: ExitStack) -> None:
    from meshtest.chaos.volatile_disk import LyingDisk

    _on_disk(LyingDisk)


def _on_disk(disk: object) -> None:
    from meshagent.catalog.raft.opening import open_raft_log

    assert open_raft_log.__kwdefaults__ is not None
    open_raft_log.__kwdefaults__["open_disk"] = disk


BUILDS = {
    "volatile": Build("the real build, on a disk that forgets at kill -9 what was not synced (must pass)", _volatile),
    "no_fsync": Build("fdatasync of the log is not called, on the same disk", _no_fsync),
    "no_lease": Build("whoever believes to lead answers default reads", _simulated("no_lease")),
    "speaks_before_the_disk": Build("answers before entries are on disk", _simulated("speaks_before_the_disk")),
    "barrier_without_a_quorum": Build("consistent reads ask nobody", _simulated("barrier_without_a_quorum")),
    "applies_retries_again": Build("a write sent again is applied again", _simulated("applies_retries_again")),
}

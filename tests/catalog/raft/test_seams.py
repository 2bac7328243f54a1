"""pysyncobj has our clock, cannot pickle, and does not load cryptography."""

from __future__ import annotations

import pickle
import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pysyncobj.pickle
import pysyncobj.syncobj
import pytest
from meshtest.logs import History

from meshagent.catalog.raft import seams
from meshagent.catalog.raft.opening import open_raft_log
from meshagent.clock import SystemClock, VirtualClock


def test_pysyncobj_reads_the_clock_it_was_given_last() -> None:
    clock = VirtualClock()
    seams.use(clock)
    assert pysyncobj.syncobj.monotonicTime() == 0.0
    seams.use(SystemClock())
    assert pysyncobj.syncobj.monotonicTime() > 0.0


@pytest.mark.parametrize("name", ["loads", "dumps", "load", "dump"])
def test_pysyncobj_cannot_pickle(name: str) -> None:
    with pytest.raises(AssertionError, match="pysyncobj tried to pickle"):
        getattr(pysyncobj.pickle, name)(b"")


async def test_no_path_of_the_log_pickles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("pickled")

    for name in ("loads", "dumps", "load", "dump", "Pickler", "Unpickler", "_Pickler", "_Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    for _ in range(2):
        log = open_raft_log(History(), tmp_path, node_id="n", address="a:1", clock=SystemClock(), rng=random.Random(1))
        await log.start()
        for _ in range(5):
            await log.propose(b"x")
        await log.snapshot()
        await log.propose(b"y")
        await log.stop()
    for path in (tmp_path / "raft").iterdir():
        assert b"\x80\x04" not in path.read_bytes()[:64], f"{path} looks like a pickle"


async def test_no_thread_of_pysyncobj_and_none_of_ours_is_left(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    log = open_raft_log(History(), tmp_path, node_id="n", address="a:1", clock=SystemClock(), rng=random.Random(1))
    await log.start()
    await log.snapshot()
    assert {thread.name for thread in set(threading.enumerate()) - before} == {"raft-journal", "raft-snapshot"}
    await log.stop()
    assert set(threading.enumerate()) <= before


def test_the_log_is_imported_without_cryptography() -> None:
    code = "import sys, meshagent.catalog.raft.opening; sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_socket_module_is_as_before() -> None:
    """pysyncobj leaves its Windows version of inet_ntop there."""
    code = "import socket, meshagent.catalog.raft.opening; socket.inet_ntop(socket.AF_INET6, bytes(16))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

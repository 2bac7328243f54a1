"""I/O edge: other people's programs for the tests: found, started on loopback, stopped by pid, their output kept.

A peer that is not installed skips the test with a reason; with CI=true it fails instead. tests/prepare installs them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from meshtest import ROOT
from meshtest.process import _die_with_parent, _end_group, _started

SEARCH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
PYTHON_CONSUL2 = ROOT / ".venv" / "peers" / "python-consul2"
BUILT = ROOT / ".venv" / "peers"


def absent(what: str) -> None:
    """Skip, or fail where everything has to be there."""
    reason = f"{what} is not installed: run tests/prepare"
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI=true, and {reason}")
    pytest.skip(reason)


def program(name: str) -> str:
    """The path of a peer's executable."""
    found = shutil.which(name, path=SEARCH)
    if found is None:
        absent(name)
    assert found is not None
    return found


def built(name: str) -> str:
    """A program that tests/prepare builds with go: consul-sd (tests/interop/prometheus_sd) or consul-template."""
    path = BUILT / name
    if not path.exists():
        absent(f"{name} (built with go)")
    return str(path)


def python_consul2() -> Path:
    if not (PYTHON_CONSUL2 / "consul").is_dir():
        absent("python-consul2")
    return PYTHON_CONSUL2


@contextlib.contextmanager
def running(argv: Sequence[str], directory: Path, *, port: int | None = None, within_s: float = 60.0) -> Iterator[Peer]:
    """A peer process, ready once its TCP port accepts; stopped at the end, with all it started."""
    log = directory / f"{Path(argv[0]).name}.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=directory,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
    _started.add(process)
    peer = Peer(process, log)
    try:
        if port is not None:
            peer.wait(f"port {port}", lambda: accepts(port), within_s=within_s)
        yield peer
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
        _end_group(process)
        process.wait(5)


class Peer:
    def __init__(self, process: subprocess.Popen[bytes], log_path: Path) -> None:
        self.process = process
        self.log_path = log_path

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def wait(self, what: str, condition: Callable[[], Any], *, within_s: float = 60.0) -> Any:
        return wait_until(what, condition, within_s=within_s, alive=lambda: self.process.poll() is None, log=self.log)


def wait_until(
    what: str,
    condition: Callable[[], Any],
    *,
    within_s: float = 60.0,
    alive: Callable[[], bool] = lambda: True,
    log: Callable[[], str] = lambda: "",
) -> Any:
    """Poll until the condition holds; OSError and AssertionError count as not yet."""
    deadline = time.monotonic() + within_s
    last: object = None
    while True:
        try:
            if found := condition():
                return found
            last = found
        except (OSError, AssertionError) as error:
            last = error
        assert alive(), f"the peer ended before: {what}\n{log()[-3000:]}"
        assert time.monotonic() < deadline, f"not within {within_s} s: {what} (last: {last!r})\n{log()[-3000:]}"
        time.sleep(0.05)


def accepts(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def output(argv: Sequence[str], *, timeout_s: float = 30.0, **more: Any) -> str:
    """What a command prints; fails with its stderr."""
    done = subprocess.run(list(argv), capture_output=True, text=True, timeout=timeout_s, check=False, **more)
    assert done.returncode == 0, f"{argv}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout

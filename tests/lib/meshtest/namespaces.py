"""I/O edge: network namespaces that a test makes for itself, and what it does in them.

They go with the processes that hold them. Only root makes them; where the kernel gives none the test is skipped and
says why. A thread that is inside one has its sockets there, and so has what it starts, so that the rest of the test kit
works as it is.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import subprocess
from collections.abc import Iterator

import pytest

from meshtest.peers import program
from meshtest.process import _die_with_parent, _started

__all__ = ["Host", "as_user", "unshared", "wire"]

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


@functools.cache
def _problem() -> str:
    """Why there are no namespaces here, "" when there are."""
    probe = [program("unshare"), "--net", program("nft"), "list", "ruleset"]
    done = subprocess.run(probe, capture_output=True, text=True, check=False)
    return done.stderr.strip() if done.returncode else ""


def unshared() -> list[str]:
    """What goes before a command that is to have a network of its own."""
    if _problem():
        pytest.skip(f"no network namespaces here: {_problem()}")
    return [program("unshare"), "--net"]


class Host:
    """A network of its own, held by a process that waits."""

    def __init__(self) -> None:
        self._holder = subprocess.Popen(
            [*unshared(), "cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
        _started.add(self._holder)
        assert self._holder.stdin is not None and self._holder.stdout is not None
        self._holder.stdin.write(b"\n")
        self._holder.stdin.flush()
        assert self._holder.stdout.read(1), "it is in its network when it echoes"
        self.pid = self._holder.pid
        self.path = f"/proc/{self.pid}/ns/net"
        self.run("ip", "link", "set", "lo", "up")

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """This thread is there, with the sockets it makes and the programs it starts."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        there = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _enter(there)
            yield
        finally:
            _enter(before)
            os.close(before)
            os.close(there)

    def run(self, *line: str) -> str:
        """What a program prints that runs there."""
        with self.inside():
            done = subprocess.run([program(line[0]), *line[1:]], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}: {done.stderr}"
        return done.stdout

    def close(self) -> None:
        self._holder.kill()
        self._holder.wait()
        _started.discard(self._holder)


def wire(one: Host, two: Host, number: int = 1) -> tuple[tuple[str, str], tuple[str, str]]:
    """Join two of them; (IPv4, IPv6) of each. Each is the way to everywhere for the other."""
    one.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", str(two.pid))
    found = []
    for at, host in enumerate((one, two), 1):
        four, six = f"10.77.{number}.{at}", f"fd77:{number}::{at}"
        host.run("ip", "addr", "add", f"{four}/24", "dev", "eth0")
        host.run("ip", "addr", "add", f"{six}/64", "dev", "eth0", "nodad")
        host.run("ip", "link", "set", "eth0", "up")
        found.append((four, six))
    for host, (four, six) in ((one, found[1]), (two, found[0])):
        host.run("ip", "route", "add", "default", "via", four)
        host.run("ip", "-6", "route", "add", "default", "via", six)
    return found[0], found[1]


@contextlib.contextmanager
def as_user(uid: int) -> Iterator[None]:
    """Sockets that this thread makes are this user's, to the kernel's packet filter."""
    before = _libc.setfsuid(uid)
    try:
        yield
    finally:
        _libc.setfsuid(before)


def _enter(handle: int) -> None:
    if _libc.setns(handle, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")

"""I/O edge: the first root of a cluster, made in a short-lived process of its own.

Every cluster needs a root, few agents ever sign: made here, the X.509 library (10 MB, 0.1 s of the event loop) does not
stay in the memory of a server that has nothing to do with the mesh. The settings go in and root and key come out
through pipes; nothing touches a disk.

Source: our own. What may change here: nothing about what is made; that is `ca.py`.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import datetime

import msgspec

from meshagent.catalog.ca import CARoot
from meshagent.connect.ca import BuiltRoot, build_root
from meshagent.connect.ca_config import CASettings
from meshagent.errors import Unavailable

__all__ = ["build_apart"]

#: A 4096-bit RSA key takes seconds on a slow machine.
_TIMEOUT_S = 60.0


class _Order(msgspec.Struct, array_like=True):
    settings: CASettings
    cluster_id: str
    label: str
    serial: int
    now: datetime


class _Made(msgspec.Struct, array_like=True):
    row: CARoot
    key: bytes


async def build_apart(settings: CASettings, cluster_id: str, label: str, serial: int, now: datetime) -> BuiltRoot:
    """`build_root` in another process.

    Raises:
        Unavailable: it could not be started, or failed.
    """
    order = msgspec.msgpack.encode(_Order(settings, cluster_id, label, serial, now))
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "meshagent.connect.root_process",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError as error:
        raise Unavailable(f"cannot start a process to make the root: {error.strerror}") from error
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            out, _ = await process.communicate(order)
    except BaseException:
        if process.returncode is None:
            process.kill()
        raise
    try:
        made = msgspec.msgpack.decode(out, type=_Made)
    except msgspec.DecodeError as error:
        raise Unavailable(f"the process that makes the root failed (status {process.returncode})") from error
    return BuiltRoot(made.row, made.key)


def _main() -> None:
    order = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=_Order)
    built = build_root(order.settings, order.cluster_id, order.label, order.serial, order.now)
    sys.stdout.buffer.write(msgspec.msgpack.encode(_Made(built.row, built.key)))


if __name__ == "__main__":
    _main()

"""The door to pysyncobj: its clock is ours, and what it must not do it cannot do.

Source: pysyncobj 0.3.17, `syncobj.py`. It reads its clock through the module name `monotonicTime` (the generator,
`random`, only in one method that the engine overrides), unpickles messages and files through `pysyncobj.pickle`, and
imports `cryptography` for an encryption that is not used here (0.1 s of the start). Everywhere but on Windows its
`win_inet_pton` leaves `socket.inet_ntop` replaced by a function that cannot work there.

`clock` is one for the module, so whoever enters pysyncobj's code says whose time it is first: `use(clock)`. All of it
runs on one thread and never waits, so this holds until the next entry. A simulation runs many servers that way.

What may be changed: with each new release of pysyncobj, look for new names it takes time, chance or pickle from.
"""

from __future__ import annotations

import _socket
import sys
from types import ModuleType
from typing import Any, NoReturn

from meshagent.clock import Clock

__all__ = ["COMMAND_NO_OP", "RAFT_STATE", "Node", "SyncObj", "SyncObjConf", "Transport", "use"]


def _without_encryptor() -> None:
    """Give pysyncobj an `encryptor` that says there is none, instead of the one that loads `cryptography`."""
    stub = ModuleType("pysyncobj.encryptor")
    stub.HAS_CRYPTO = False  # type: ignore[attr-defined]
    stub.getEncryptor = _refuse  # type: ignore[attr-defined]
    sys.modules.setdefault("pysyncobj.encryptor", stub)


def _refuse(*_: Any, **__: Any) -> NoReturn:
    raise AssertionError("pysyncobj tried to pickle or encrypt: meshagent has its own codecs, journal and transport")


_without_encryptor()

import pysyncobj.journal  # noqa: E402
import pysyncobj.pickle  # noqa: E402
import pysyncobj.syncobj  # noqa: E402
import pysyncobj.tcp_connection  # noqa: E402
import pysyncobj.win_inet_pton  # noqa: E402
from pysyncobj.node import Node  # noqa: E402
from pysyncobj.syncobj import _COMMAND_TYPE, _RAFT_STATE, SyncObj, SyncObjConf  # noqa: E402
from pysyncobj.transport import Transport  # noqa: E402

pysyncobj.win_inet_pton.socket.inet_ntop = _socket.inet_ntop
RAFT_STATE = _RAFT_STATE
COMMAND_NO_OP: int = _COMMAND_TYPE.NO_OP

for _module in (pysyncobj.pickle, pysyncobj.journal, pysyncobj.tcp_connection):
    for _name in ("loads", "dumps", "load", "dump"):
        if hasattr(_module, _name):
            setattr(_module, _name, _refuse)


def use(clock: Clock) -> None:
    """Until the next call, pysyncobj's time is that of `clock`."""
    pysyncobj.syncobj.monotonicTime = clock.monotonic

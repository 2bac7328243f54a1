"""Whether what clients were told of keys and locks can have come from one register a key that changes at one moment.

`check(operations)` decides for writes and for `default` and `consistent` reads, key by key; `check_stale(operations)`
looks at `stale` reads, which may be old but never go back. `save` and `load` keep a history in a file.
"""

from __future__ import annotations

from meshtest.linearizability.checker import Verdict, check
from meshtest.linearizability.history import Operation, Seen, load, save
from meshtest.linearizability.stale import check_stale

__all__ = ["Operation", "Seen", "Verdict", "check", "check_stale", "load", "save"]

"""What applying a command gave, back from plain data: on its way from another server it is msgpack, in a snapshot too.

Source: `catalog/rpc/writes.py`, `catalog/raft/once.py`: both keep what msgpack makes of a result. Most results are
plain already; a command whose result is a struct has a row in `_TYPES`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from meshagent.catalog import commands
from meshagent.catalog.txn_outcome import Outcome
from meshagent.errors import RemoteProtocolError

__all__ = ["revive"]

#: Command -> the type of its result, where that is not plain data.
_TYPES: dict[type, Any] = {commands.Txn: Outcome}


def revive(command: bytes, result: Any) -> Any:
    """The result of the encoded `command` as `Store.apply` gives it. Raises RemoteProtocolError."""
    if not isinstance(result, dict | list):
        return result
    wanted = _TYPES.get(type(commands.decode(command)))
    if wanted is None:
        return result
    try:
        return msgspec.convert(result, wanted)
    except msgspec.ValidationError as error:
        raise RemoteProtocolError(f"the result of a write does not fit its command: {error}") from error

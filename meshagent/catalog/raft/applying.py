"""Committed commands into the state machine, results to whoever asked.

Source: Ongaro and Ousterhout (2014), section 5.3: every server applies the same commands in the same order. So an error
is part of the result, never a reason to stop: a refused command is refused on every server, and a command that meets
a bug stands in the log like any other.

What may be changed: `answer` runs for every write.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from meshagent.catalog.log import Answer
from meshagent.catalog.raft.batch import Item
from meshagent.catalog.raft.state import ReplicatedState
from meshagent.errors import InternalError, MeshError

__all__ = ["Applier"]

log = logging.getLogger("agent.server.raft")


class Applier:
    """Drives one state machine."""

    def __init__(self, state: ReplicatedState) -> None:
        self._state = state

    def answer(
        self, commands: Sequence[bytes], ids: Sequence[bytes | None], futures: Sequence[Answer], time_ms: int
    ) -> None:
        """Apply an entry that was proposed here; each future gets its command's result or error."""
        self._state.pass_to(time_ms)
        apply, apply_once = self._state.apply, self._state.apply_once
        for command, request_id, future in zip(commands, ids, futures, strict=True):
            try:
                result = apply(command) if request_id is None else apply_once(request_id, command)
            except MeshError as error:
                if not future.done():
                    future.set_exception(error)
            except Exception:
                log.exception("a command failed to apply")
                if not future.done():
                    future.set_exception(InternalError("internal error while applying the command"))
            else:
                if not future.done():
                    future.set_result(result)

    def replay(self, items: Sequence[Item], time_ms: int) -> None:
        """Apply an entry that was proposed elsewhere, or before a restart."""
        self._state.pass_to(time_ms)
        apply, apply_once = self._state.apply, self._state.apply_once
        for request_id, command in items:
            try:
                if request_id is None:
                    apply(command)
                else:
                    apply_once(request_id, command)
            except MeshError:
                pass  # refused here as it was where it was proposed
            except Exception:
                log.exception("a command failed to apply")

    def flush(self) -> None:
        try:
            self._state.flush()
        except Exception:  # a waiter's bug; the commands are applied
            log.exception("waking the readers failed")

"""What a transaction has done, so that it can be taken back.

The tables of the store change in place. While a transaction runs, each change of a row, an index or a secondary table
leaves a step that reverses it; `rollback` takes the steps from the last to the first. Outside a transaction nothing is
kept, so a plain write pays for one comparison.

What may change here: nothing is known of tables here; a table that changes without leaving a step breaks
`test_a_refused_transaction_leaves_no_trace_and_wakes_nobody` in tests/catalog/test_store.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["Undo"]


class Undo:
    """The steps back of the running transaction, if one runs."""

    __slots__ = ("_steps", "active")

    def __init__(self) -> None:
        self.active = False
        self._steps: list[tuple[Callable[..., object], tuple[Any, ...]]] = []

    def note(self, step: Callable[..., object], *arguments: Any) -> None:
        """`step(*arguments)` reverses what is about to be done, or has just been done."""
        if self.active:
            self._steps.append((step, arguments))

    def begin(self) -> None:
        """Keep steps from now on."""
        self.active = True

    def commit(self) -> None:
        """What was done stays."""
        self.active = False
        self._steps.clear()

    def rollback(self) -> None:
        """Take back all that was done since `begin`."""
        self.active = False
        steps, self._steps = self._steps, []
        for step, arguments in reversed(steps):
            step(*arguments)

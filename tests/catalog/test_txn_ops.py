"""What a transaction is made of has numbers of its own beside those of commands."""

from typing import Any, get_args

from meshagent.catalog.commands import Command
from meshagent.catalog.txn_ops import TxnOp


def test_no_number_is_used_twice() -> None:
    def tags(union: Any) -> list[int]:
        return [kind.__struct_config__.tag for kind in get_args(union)]

    both = tags(Command) + tags(TxnOp)
    assert len(both) == len(set(both))

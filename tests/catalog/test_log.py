"""The in-memory log keeps the promise of a replicated one."""

import asyncio

import pytest
from meshtest.rows import check, node

from meshagent.catalog.commands import KVSet, Register, encode
from meshagent.catalog.log import MemoryLog
from meshagent.catalog.store import Store
from meshagent.errors import InternalError


async def test_proposals_are_applied_in_order_in_one_batch():
    store = Store()
    flushes: list[int] = []
    store.flush = lambda: flushes.append(store.index)  # type: ignore[method-assign]
    log = MemoryLog(store)
    futures = [log.propose(encode(KVSet(f"k{n}", b"v"))) for n in range(3)]
    assert await asyncio.gather(*futures) == [True, True, True]
    assert flushes == [4]
    assert log.stats()["last_log_index"] == "3"


async def test_a_refused_command_is_its_proposers_error_and_no_one_elses():
    log = MemoryLog(Store())
    bad = log.propose(encode(Register(node(), None, (check("c", service_id="gone"),))))
    good = log.propose(encode(KVSet("k", b"v")))
    with pytest.raises(InternalError, match="Unknown service ID"):
        await bad
    assert await good is True

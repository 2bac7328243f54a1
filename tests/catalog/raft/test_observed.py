"""Every fact has an answer, before the start, too."""

from __future__ import annotations

import pytest
from meshtest.disk import SimDisk
from meshtest.logs import History, open_on

from meshagent.catalog.raft.configuration import Server
from meshagent.errors import NoLeader, Unavailable


async def test_before_the_start_nothing_is_accepted_or_claimed() -> None:
    log = open_on(SimDisk(), History())
    with pytest.raises(Unavailable):
        await log.propose(b"a")
    with pytest.raises(NoLeader):
        await log.barrier()
    assert (log.is_leader, log.leader, log.stats()) == (False, "", {})
    await log.stop()


async def test_a_server_alone_knows_all_of_itself() -> None:
    log = open_on(SimDisk(), History())
    assert (log.term, log.last_index, log.servers, log.has_state, log.has_heard) == (0, 0, (), False, False)
    await log.start()
    await log.propose(b"a")
    assert (log.is_leader, log.is_ready, log.leader_id, log.leader) == (True, True, "node-1", "127.0.0.1:8300")
    assert (log.has_others, log.has_state, log.has_heard, log.last_contact_ms) == (False, True, True, 0)
    assert log.applied_index == log.last_index == log.known_index("node-1")
    assert (log.known_index("elsewhere"), log.applied_term, log.term) == (0, 1, 1)
    assert log.servers == (Server("node-1", "127.0.0.1:8300", True),)
    await log.stop()

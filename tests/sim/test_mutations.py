"""The simulation notices when a rule is taken out. (The rules that it finds too seldom have their test in
tests/catalog/raft/test_elections.py and test_replication.py, whose docstrings name the build they catch.)"""

from __future__ import annotations

import pytest
from meshtest.sim.mutations import MUTATIONS, broken_by
from meshtest.sim.scenario import Broken, run_seed

CAUGHT: dict[str, tuple[str | None, int]] = {  # the profile, and a seed to begin with
    # of the log
    "deletes_everything_behind_prev": (None, 9),
    "commits_over_unchecked_log": (None, 3),
    "speaks_before_the_disk": (None, 2),
    "reads_before_its_first_entry": ("crashes", 2),
    "lease_from_the_answer": ("leases", 90),
    "lease_longer_than_an_election": ("leases", 3),
    "no_lease": ("leases", 3),
    "barrier_without_a_quorum": ("leases", 0),
    "applies_retries_again": ("partitions", 5),
    "disks_that_lie": ("all", 0),
    "lost_disks_keep_their_vote": ("lost_disks", 49),  # two leaders in one term
    "counts_any_incarnation": ("lost_disks", 99),
    # of forwarding and of reads through any server
    "forwards_again_under_another_id": (None, 0),
    "followers_read_without_asking": (None, 0),
    "reads_join_a_question_under_way": (None, 2),
    "answers_before_it_has_applied": (None, 0),
    "a_deposed_leader_tells_how_far_it_is": ("leases", 5),
    "tells_what_it_has_not_applied": ("disks", 5),
}
STACK = set(list(CAUGHT)[list(CAUGHT).index("forwards_again_under_another_id") :])
TRIES = 60


@pytest.mark.parametrize("name", CAUGHT)
def test_it_is_caught(name: str) -> None:
    profile, first = CAUGHT[name]
    with broken_by(name):
        for seed in range(first, first + TRIES):
            try:
                run_seed(seed, profile=profile, stack=name in STACK)
            except Broken:
                return
    pytest.fail(f"{TRIES} seeds hold without this rule: {MUTATIONS[name].__doc__}")

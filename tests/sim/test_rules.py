"""Rules that random histories break too seldom: each has a test of the engine, and that test fails without the rule.

The others are in `test_mutations.py`. Together they are all the builds of `meshtest/sim/mutations.py`.
"""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from meshtest.sim.mutations import MUTATIONS, broken_by

from meshagent.errors import MeshError

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests" / "catalog" / "raft"
README = ROOT / "meshagent" / "catalog" / "raft" / "README.md"
BY_HAND: dict[str, tuple[str, str]] = {  # build: (module, test)
    "takes_answers_of_earlier_terms": (
        "test_replication",
        "test_an_answer_to_an_earlier_term_or_connection_does_not_count",
    ),
    "counts_itself_before_the_disk": (
        "test_engine",
        "test_it_does_not_count_itself_for_an_entry_that_is_not_on_its_disk",
    ),
    "commits_earlier_terms_by_counting": (
        "test_engine",
        "test_an_entry_of_an_earlier_term_is_not_committed_by_counting",
    ),
    "votes_while_a_leader_lives": ("test_elections", "test_a_server_that_hears_its_leader_does_not_listen_to_others"),
    "forgets_the_leader_in_a_restart": (
        "test_elections",
        "test_a_restarted_server_waits_for_an_election_timeout_before_it_votes",
    ),
    "barrier_takes_the_round_under_way": (
        "test_replication",
        "test_a_read_is_confirmed_by_a_round_that_begins_after_it",
    ),
    "keeps_leading_after_a_failed_transfer": (
        "test_replication",
        "test_a_transfer_waits_for_the_log_then_leads_no_more",
    ),
    "many_changes_at_once": ("test_catching_up", "test_one_change_at_a_time"),
    "forgets_ids_in_snapshots": ("test_state", "test_all_of_it_comes_back"),
    "forgets_members_in_snapshots": ("test_state", "test_all_of_it_comes_back"),
    "lost_disks_keep_their_vote": ("test_lost_disks", "test_a_vote_of_another_directory_does_not_count"),
    "counts_any_incarnation": ("test_lost_disks", "test_an_acknowledgement_of_another_directory_does_not_count"),
    "tells_what_it_has_not_applied": ("test_replication", "test_the_others_commit_only_what_the_leader_has_applied"),
}


def load(module: str, name: str) -> Callable[[], Any]:
    spec = importlib.util.spec_from_file_location(f"rules_{module}", TESTS / f"{module}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    test: Callable[[], Any] = getattr(loaded, name)
    return test


def run(test: Callable[[], Any]) -> None:
    if inspect.iscoroutinefunction(test):
        asyncio.run(test())
    else:
        test()


@pytest.mark.parametrize("build", BY_HAND)
def test_its_test_fails_without_it(build: str) -> None:
    test = load(*BY_HAND[build])
    run(test)
    with broken_by(build), pytest.raises((AssertionError, pytest.fail.Exception, MeshError)):
        run(test)


def test_every_build_is_caught_somewhere() -> None:
    spec = importlib.util.spec_from_file_location("mutations", Path(__file__).with_name("test_mutations.py"))
    assert spec is not None
    assert spec.loader is not None
    mutations = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(mutations)
    assert set(MUTATIONS) == set(BY_HAND) | set(mutations.CAUGHT)


def test_the_tests_that_the_table_of_rules_names_exist() -> None:
    rows = README.read_text().partition("## Rules")[2].partition("\n## ")[0].splitlines()
    named = {name for row in rows for name in re.findall(r"`(test_\w+)(?:\.\.\.)?`", row)}
    there = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(named) > 25
    assert [name for name in named if f"def {name}" not in there] == []

"""A short run against three real servers, every answer checked; long ones: `make chaos SECONDS=600`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from meshtest import ROOT

pytestmark = [pytest.mark.timeout(240)]


def chaos(tmp_path: Path, *words: str, loopback: bool = False) -> tuple[int, dict[str, Any], str]:
    """(exit status, the counts it printed, all it printed)"""
    argv = [sys.executable, str(ROOT / "tests" / "chaos" / "run.py"), "--history", str(tmp_path / "history"), *words]
    env = {**os.environ, "TMPDIR": str(tmp_path), **({"MESHTEST_LOOPBACK": "1"} if loopback else {})}
    done = subprocess.run(argv, capture_output=True, text=True, timeout=200, check=False, env=env)
    printed = done.stdout + done.stderr
    facts = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    return done.returncode, facts[-1] if facts else {}, printed


def test_no_answer_is_wrong_whatever_happens(tmp_path: Path) -> None:
    status, facts, printed = chaos(tmp_path, "--seconds", "15", "--seed", "1")
    print(printed)
    assert status == 0, printed
    assert facts["operations"] > 1000
    assert sum(facts["faults"].values()) >= 3
    assert not list(tmp_path.glob("chaos-*")), "nothing is left behind"


@pytest.mark.parametrize(
    ("build", "faults", "seconds"),
    [
        ("no_lease", ("isolate_leader", "pause_leader"), 12),
        ("no_fsync", ("kill_all",), 6),
    ],
)
def test_a_build_without_a_rule_is_caught(tmp_path: Path, build: str, faults: tuple[str, ...], seconds: int) -> None:
    words = [word for name in faults for word in ("--fault", name)]
    status, _, printed = chaos(tmp_path, "--seconds", str(seconds), "--seed", "1", "--build", build, *words)
    assert status == 1, printed
    assert "no order explains this answer" in printed


def test_the_disk_that_catches_it_is_fair(tmp_path: Path) -> None:
    status, facts, printed = chaos(
        tmp_path, "--seconds", "6", "--seed", "1", "--build", "volatile", "--fault", "kill_all", loopback=True
    )
    assert status == 0, printed
    assert "NO NAMESPACES HERE" in printed
    assert facts["faults"]["kill_all"] >= 1

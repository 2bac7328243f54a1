"""Files of the configuration that change while the agent runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from meshagent.agent.config import load
from meshagent.agent.config_watch import certificate_files, follow_files, signature


class Ends(Exception):
    pass


class Looks:
    """A clock whose n-th sleep does the n-th thing."""

    def __init__(self, *steps: Any) -> None:
        self.steps = list(steps)

    async def sleep(self, _delay_s: float) -> None:
        if not self.steps:
            raise Ends
        self.steps.pop(0)()


def nothing() -> None:
    return


async def changes(folder: Path, *steps: Any) -> int:
    told: list[int] = []

    async def changed() -> None:
        told.append(1)

    with pytest.raises(Ends):
        await follow_files(lambda: [str(folder)], changed, Looks(*steps))  # type: ignore[arg-type]
    return len(told)


async def test_a_file_that_comes_changes_and_goes_is_told_once_each(tmp_path: Path) -> None:  # G4
    file = tmp_path / "a.hcl"
    write = lambda text: lambda: file.write_text(text)  # noqa: E731
    assert await changes(tmp_path, nothing, write("a"), nothing, nothing) == 1
    assert await changes(tmp_path, write("ab"), nothing, file.unlink, nothing, nothing) == 2
    assert await changes(tmp_path, nothing, nothing) == 0


async def test_a_file_that_is_still_being_written_waits(tmp_path: Path) -> None:  # G4
    file = tmp_path / "a.hcl"
    steps = [lambda size=size: file.write_text("x" * size) for size in range(1, 6)]
    assert await changes(tmp_path, *steps) == 0
    assert await changes(tmp_path, *steps, nothing) == 1


def test_a_link_that_points_elsewhere_is_a_change(tmp_path: Path) -> None:  # as a Kubernetes volume does it
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.hcl").write_text("")
    link = tmp_path / "config"
    link.symlink_to("one")
    before = signature([str(link)])
    (tmp_path / "new").symlink_to("two")
    os.replace(tmp_path / "new", link)
    assert signature([str(link)]) != before
    assert signature([str(tmp_path / "absent")]) == ()


def test_certificates_are_watched_too() -> None:
    config = load(
        hcl=['tls { https { cert_file = "c" key_file = "k" } internal_rpc { ca_file = "a" } }'], dev=True
    ).config
    assert certificate_files(config) == ("c", "k", "a")

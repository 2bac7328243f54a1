"""Rules given to nft: which programs are started, and what is told when they fail. With the real one: tests/interop."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshagent.agent.cli.nft import apply_rules
from meshagent.errors import Unavailable


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with all programs there are."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setattr("meshagent.agent.cli.nft._SBIN", str(tmp_path))
    return tmp_path


def stand_in(place: Path, name: str, text: str) -> None:
    (place / name).write_text(f"#!/bin/sh\n{text}\n")
    (place / name).chmod(0o755)


def test_the_script_goes_to_standard_input(place: Path) -> None:
    stand_in(place, "nft", f'echo "$@" > {place}/line; cat > {place}/script')
    apply_rules("table inet x\n")
    assert (place / "line").read_text() == "-f -\n"
    assert (place / "script").read_text() == "table inet x\n"


def test_another_namespace_is_entered(place: Path) -> None:
    stand_in(place, "nft", "")
    stand_in(place, "nsenter", f'echo "$@" > {place}/line')
    apply_rules("", "/run/netns/web;x")
    assert (place / "line").read_text() == f"--net=/run/netns/web;x {place}/nft -f -\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [("echo bad rule >&2; exit 1", "bad rule"), ("exit 3", "ended with status 3"),
     ("echo Operation not permitted >&2; exit 1", "CAP_NET_ADMIN")],
)  # fmt: skip
def test_what_fails_is_told(place: Path, text: str, words: str) -> None:
    stand_in(place, "nft", text)
    with pytest.raises(Unavailable, match=words):
        apply_rules("")


def test_a_program_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("meshagent.agent.cli.nft._SBIN", str(tmp_path))
    with pytest.raises(Unavailable, match="package nftables"):
        apply_rules("")

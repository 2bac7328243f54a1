"""The agent's own tokens: where they come from, and that they are kept privately."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from meshagent.agent.acl.tokens import NAMES, AgentTokens
from meshagent.agent.config import Config
from meshagent.errors import CorruptData


def config(*, keep: bool = False, **tokens: str) -> Config:
    given = Config()
    acl = given.acl
    return given.replace(
        acl=acl.replace(enabled=True, enable_token_persistence=keep, tokens=acl.tokens.replace(**tokens))
    )


def test_what_falls_back_to_what() -> None:
    tokens = AgentTokens(config(default="d"))
    assert (tokens.default, tokens.agent, tokens.dns, tokens.recovery) == ("d", "d", "d", "")
    tokens.set("agent", "a")
    tokens.set("dns", "n")
    assert (tokens.agent, tokens.dns) == ("a", "n")
    tokens.set("agent", "")
    assert tokens.agent == "d"


def test_listeners_hear_of_changes() -> None:
    tokens = AgentTokens(config())
    heard: list[str] = []
    tokens.on_change.append(lambda: heard.append(tokens.default))
    tokens.set("default", "x")
    tokens.configure(config(default="y"))
    assert heard == ["x", "x"]


def test_they_are_kept_when_asked_and_for_nobody_else(tmp_path: Path) -> None:
    AgentTokens(config(), tmp_path).set("default", "x")
    assert not (tmp_path / "acl-tokens.json").exists()
    AgentTokens(config(keep=True), tmp_path).set("default", "x")
    assert stat.S_IMODE(os.stat(tmp_path / "acl-tokens.json").st_mode) == 0o600
    assert AgentTokens(config(keep=True, default="y"), tmp_path).default == "x"
    assert AgentTokens(config(default="y"), tmp_path).default == "y"


@pytest.mark.parametrize("text", ["", "[]", "{", "\xff"])
def test_a_damaged_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "acl-tokens.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(CorruptData, match="acl-tokens"):
        AgentTokens(config(keep=True), tmp_path)


def test_old_names_mean_the_same() -> None:
    assert NAMES["agent_master"] == NAMES["agent_recovery"]
    assert NAMES["acl_token"] == NAMES["default"]

"""What ACL commands share; each command is in test_acl_*.py."""

from __future__ import annotations

from typing import Any

import click
import pytest

from meshagent.agent.cli.acl_objects import POLICY, asking
from meshagent.agent.cli.client import ApiError, Client, Endpoint


def test_a_refusal_is_told_in_the_words_of_the_command() -> None:
    with (
        pytest.raises(click.ClickException, match=r"Error reading it: Unexpected response code: 403 \(no\)"),
        asking("Error reading it"),
    ):
        raise ApiError(403, "no")


def test_nothing_is_asked_without_an_id_or_a_name(stub: Any) -> None:
    with pytest.raises(click.ClickException, match="Must specify either the -id or -name parameters"):
        POLICY.found(Client(Endpoint(stub.address)), "", "")
    assert not stub.asked


def test_a_name_finds_what_is_deleted(stub: Any, capsys: pytest.CaptureFixture[str]) -> None:
    stub.answer("acl/policy/name/ops", {"ID": "1"})
    stub.answer("acl/policy/1", True, method="DELETE")
    POLICY.delete(Client(Endpoint(stub.address)), "", "ops")
    assert capsys.readouterr().out == 'Policy "1" deleted successfully\n'

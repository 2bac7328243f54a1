from __future__ import annotations

from typing import Any

import pytest

from meshagent.agent.cli.client import ApiError, Client, Endpoint
from meshagent.agent.cli.kept_session import kept_session


def test_it_is_made_and_destroyed(stub: Any) -> None:
    stub.answer("session/create", {"ID": "s1"}, method="PUT")
    stub.answer("session/destroy/s1", True, method="PUT")
    with kept_session(Client(Endpoint(stub.address)), "a name", "delete") as id:
        assert id == "s1"
        assert stub.last.json == {"Name": "a name", "Behavior": "delete", "TTL": "15s"}
    assert stub.last.path == "/v1/session/destroy/s1"


def test_the_end_of_the_agent_does_not_hide_what_went_wrong(stub: Any) -> None:
    stub.answer("session/create", {"ID": "s1"}, method="PUT")
    with pytest.raises(KeyError), kept_session(Client(Endpoint(stub.address)), "a"):
        raise KeyError


def test_a_session_that_is_refused_is_an_error(stub: Any) -> None:
    stub.answer("session/create", b"No cluster leader", method="PUT", status=500)
    with pytest.raises(ApiError, match="No cluster leader"), kept_session(Client(Endpoint(stub.address)), "a"):
        pass

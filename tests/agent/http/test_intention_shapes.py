"""Names of services as intentions write them, and the shape of an intention."""

from __future__ import annotations

import pytest

from meshagent.agent.http.intention_shapes import IntentionBody, service_of, shown
from meshagent.agent.http.request import BadOption
from meshagent.connect.intentions import Intention
from meshagent.errors import BadRequest


@pytest.mark.parametrize("text", ["web", "default/web", "default/default/web"])
def test_names(text: str) -> None:
    assert service_of(text, "source") == "web"


def test_names_that_are_refused() -> None:
    assert service_of("other/web") == "web"
    with pytest.raises(BadOption, match='Invalid source namespace "other"'):
        service_of("other/web", "source")
    with pytest.raises(BadOption, match="at most two"):
        service_of("a/b/c/d")


def test_only_the_old_form_has_an_id_times_and_a_hash() -> None:
    new = shown(Intention("a", "b", "allow", 9))
    assert new == {
        "SourceNS": "default", "SourceName": "a", "DestinationNS": "default", "DestinationName": "b",
        "SourceType": "consul", "Action": "allow", "Precedence": 9, "CreateIndex": 0, "ModifyIndex": 0,
    }  # fmt: skip
    old = shown(Intention("a", "b", "allow", 9, id="x", created="t", updated="u"))
    assert {"ID", "CreatedAt", "UpdatedAt", "Hash"} == set(old) - set(new)
    other = shown(Intention("a", "b", "deny", 9, id="x", created="t", updated="u"))
    assert old["Hash"] != other["Hash"]


def test_permissions_that_cannot_be_read_name_the_field() -> None:
    with pytest.raises(BadRequest, match="Bogus"):
        IntentionBody(Permissions=[{"Bogus": 1}]).permissions()

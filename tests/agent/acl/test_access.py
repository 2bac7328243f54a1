"""What an access says, and in which words it refuses."""

from __future__ import annotations

import pytest

from meshagent.agent.acl.access import OPEN, Access, Refused, not_found
from meshagent.catalog.acl.authorizer import Authorizer
from meshagent.catalog.acl.rules import parse_rules
from meshagent.errors import Denied

RULES = parse_rules('key_prefix "a/" { policy = "write" } key "a/x" { policy = "read" } operator = "read"')


def test_a_refusal_says_what_is_missing_and_to_whom() -> None:
    access = Access(Authorizer(RULES), "acc")
    access.require("operator", "read")
    with pytest.raises(Denied) as refusal:
        access.require("key", "write", "b")
    text = "Permission denied: token with AccessorID 'acc' lacks permission 'key:write' on \"b\""
    assert str(refusal.value) == text
    with pytest.raises(Denied, match=r"lacks permission 'operator:write'$"):
        access.require("operator", "write")
    with pytest.raises(Denied, match=r"^Permission denied$"):
        access.require("key", "write", "b", bare=True)
    with pytest.raises(Denied, match=r"^Permission denied: anonymous token lacks permission 'intention:read'"):
        Access(Authorizer(), "acc", anonymous=True).require("intentions", "read", "x")


def test_a_tree_needs_every_rule_below() -> None:
    access = Access(Authorizer(RULES), "acc")
    access.require_tree("key", "a/b/")
    with pytest.raises(Denied):
        access.require_tree("key", "a/")


def test_decisions_are_told() -> None:
    told: list[object] = []
    access = Access(Authorizer(RULES), "acc", note=lambda *decision: told.append(decision))
    access.require("key", "write", "a/b")
    with pytest.raises(Denied):
        access.require("key", "write", "z")
    assert told == [("key", "write", "a/b", True), ("key", "write", "z", False)]


def test_who_sees_the_same_shares_a_visibility() -> None:
    authorizer = Authorizer(RULES)
    assert Access(authorizer, "a").visibility == Access(authorizer, "b").visibility
    assert Access(authorizer, "a").visibility != Access(authorizer, "a", anonymous=True).visibility
    assert OPEN.visibility is None and OPEN.sees_all
    OPEN.require("acl", "write")


def test_a_token_that_could_not_be_resolved_answers_nothing() -> None:
    access = Refused(not_found())
    for ask in (
        lambda: access.sees_all,
        lambda: access.visibility,
        lambda: access.allows("key", "read"),
        lambda: access.require("key", "read"),
        lambda: access.require_tree("key", ""),
    ):
        with pytest.raises(Denied, match="ACL not found"):
            ask()


def test_something_of_a_resource_is_enough_where_any_is_asked_for() -> None:
    noted: list[tuple[str, str, str, bool]] = []
    access = Access(
        Authorizer(parse_rules('service "web" { policy = "write" }')), "a", note=lambda *told: noted.append(told)
    )
    access.require_any("service", "write")
    with pytest.raises(Denied, match=r"^Permission denied$"):
        access.require_any("key", "write")
    assert noted == [("service", "write", "", True), ("key", "write", "", False)]
    with pytest.raises(Denied, match=r"^ACL not found$"):
        Refused(not_found()).require_any("service", "write")

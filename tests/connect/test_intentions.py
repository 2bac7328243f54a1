"""Who may talk to whom (surface rows M50-M54); the recorded decisions are replayed in tests/agent/http."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from meshagent.catalog.entries.service_intentions import ServiceIntentions
from meshagent.catalog.entries.table import parse
from meshagent.connect.intentions import Decision, Default, decide, matching, matching_source, of_entries

DENY = Default(allow=False)
ALLOW = Default(allow=True)


def entry(destination: str, **actions: str) -> ServiceIntentions:
    """`entry("db", web="allow", any="deny")`; `any` stands for `*`."""
    sources = [{"Name": "*" if name == "any" else name, "Action": action} for name, action in actions.items()]
    made = parse({"Kind": "service-intentions", "Name": destination, "Sources": sources})
    assert isinstance(made, ServiceIntentions)
    return made


def asked(entries: list[ServiceIntentions], source: str, destination: str, default: Default = DENY) -> Decision:
    by_name = {one.name: one for one in entries}
    return decide(matching(by_name.get, destination), source, destination, default)


ENTRIES = [entry("db", web="allow", any="deny"), entry("*", web="deny", any="allow"), entry("api", cron="audit")]


@pytest.mark.parametrize(
    ("source", "destination", "allowed", "precedence"),
    [
        ("web", "db", True, 9),
        ("api", "db", False, 8),
        ("web", "other", False, 6),
        ("api", "other", True, 5),
        ("*", "db", False, 8),
        ("web", "*", False, 6),
        ("*", "*", True, 5),
        ("cron", "api", True, 9),
    ],
)
def test_the_most_exact_decides(source: str, destination: str, allowed: bool, precedence: int) -> None:
    decision = asked(ENTRIES, source, destination)
    assert decision.intention is not None
    assert (decision.allowed, decision.intention.precedence) == (allowed, precedence)


def test_the_reason_names_the_rule() -> None:
    assert asked(ENTRIES, "api", "db").reason == (
        "Matched L4 intention: default/* => default/db (Precedence: 8, Action: DENY)"
    )


def test_without_a_rule_the_default_holds_and_the_reason_says_which() -> None:
    assert asked([], "web", "db", Default.of(acl_allows=True, policy="")) == Decision(
        True, "Default behavior configured by ACLs"
    )
    assert asked([], "web", "db", Default.of(acl_allows=True, policy="deny")) == Decision(
        False, "Default intention policy"
    )
    assert asked([], "web", "db", Default.of(acl_allows=False, policy="allow")).allowed


def test_an_audit_allows_and_says_so() -> None:
    decision = asked(ENTRIES, "cron", "api")
    assert (decision.allowed, decision.audited) == (True, True)
    assert decision.reason.endswith("Action: AUDIT)")
    assert not asked(ENTRIES, "web", "db").audited


def test_peers_are_apart_from_services_here() -> None:
    made = parse(
        {"Kind": "service-intentions", "Name": "db", "Sources": [{"Name": "web", "Peer": "east", "Action": "allow"}]}
    )
    assert isinstance(made, ServiceIntentions)
    found = of_entries([made])
    assert not decide(found, "web", "db", DENY).allowed
    assert decide(found, "web", "db", DENY, peer="east").allowed
    assert matching_source(found, "web") == []


names = st.sampled_from(["a", "b", "*"])
all_entries = st.lists(
    st.builds(
        lambda name, sources: entry(name, **{"any" if k == "*" else k: v for k, v in sources.items()}),
        names,
        st.dictionaries(names, st.sampled_from(["allow", "deny"]), min_size=1),
    ),
    unique_by=lambda one: one.name,
)


@given(all_entries, names, names, st.booleans())
def test_no_less_exact_rule_ever_decides(
    entries: list[ServiceIntentions], source: str, destination: str, allow: bool
) -> None:
    decision = asked(entries, source, destination, Default(allow))
    covering = [one for one in of_entries(entries) if one.covers(source, destination)]
    if decision.intention is None:
        assert covering == []
        assert decision.allowed is allow
    else:
        assert decision.intention.precedence == max(one.precedence for one in covering)
        assert decision.allowed is (decision.intention.action == "allow")

"""What a token did becomes rules that allow it, and not more."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.acl.usage import MAX_RIGHTS, Usage, proposed_rules
from meshagent.catalog.acl.authorizer import Authorizer
from meshagent.catalog.acl.rules import parse_rules


def test_the_strongest_level_of_a_name_counts() -> None:
    rules = proposed_rules(
        [("key", "read", "a"), ("key", "write", "a"), ("operator", "read", ""), ("key", "read", "b")]
    )
    assert rules == 'key "a" {\n  policy = "write"\n}\nkey "b" {\n  policy = "read"\n}\noperator = "read"\n'


def test_what_a_prefix_covers_is_not_said_again() -> None:
    rules = proposed_rules([("service", "read", "web"), ("service_prefix", "read", ""), ("service", "write", "api")])
    assert 'service "web"' not in rules and 'service "api"' in rules and 'service_prefix ""' in rules


def test_intentions_are_said_with_the_service() -> None:
    rules = proposed_rules([("intentions", "write", "web")])
    assert 'intentions = "write"' in rules
    authorizer = Authorizer(parse_rules(rules))
    assert authorizer.allows("intentions", "web", "write") and not authorizer.allows("service", "web", "write")


RIGHT = st.tuples(
    st.sampled_from(["key", "key_prefix", "service", "node", "operator", "session_prefix", "intentions"]),
    st.sampled_from(["read", "write"]),
    st.text(alphabet='ab/"\\', max_size=4),
)


@given(st.lists(RIGHT, max_size=12))
def test_what_was_done_is_allowed_by_what_is_proposed(rights: list[tuple[str, str, str]]) -> None:
    authorizer = Authorizer(parse_rules(proposed_rules(rights)))
    for resource, access, name in rights:
        kind = resource.removesuffix("_prefix")
        assert authorizer.allows(kind, name, access) or (kind, name) in {
            (other.removesuffix("_prefix"), exact) for other, weaker, exact in rights if other != resource
        }


def test_it_is_bounded_and_taken_once() -> None:
    usage = Usage()
    for number in range(MAX_RIGHTS + 10):
        usage.note("t", "key", "read", str(number), True)
    usage.note("t", "key", "write", "x", False)
    assert len(usage.allowed("t")) == MAX_RIGHTS
    assert usage.denied("t") == [("key", "write", "x")]
    usage.used("t")
    usage.used("t")
    assert usage.take() == ["t"] and usage.take() == []

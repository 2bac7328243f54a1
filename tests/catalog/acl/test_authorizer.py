from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.catalog.acl.authorizer import Authorizer
from meshagent.catalog.acl.resources import ACCESS, RESOURCES
from meshagent.catalog.acl.rules import Rule, parse_rules

POLICY = """
key_prefix "a/" { policy = "read" }
key_prefix "a/secret/" { policy = "deny" }
key_prefix "a/b/" { policy = "write" }
key "z" { policy = "write" }
service "web" { policy = "write" }
service "api" { policy = "read" intentions = "write" }
service "off" { policy = "deny" }
operator = "read"
"""


@pytest.mark.parametrize(
    ("resource", "name", "access", "allowed", "reason"),
    [
        ("key", "a/1", "read", True, 'key_prefix "a/" is read'),
        ("key", "a/1", "list", False, 'key_prefix "a/" is read'),
        ("key", "a/1", "write", False, 'key_prefix "a/" is read'),
        ("key", "a/secret/3", "read", False, 'key_prefix "a/secret/" is deny'),
        ("key", "a/b/new", "write", True, 'key_prefix "a/b/" is write'),
        ("key", "z", "write", True, 'key "z" is write'),
        ("key", "zz", "read", False, "no rule speaks of it; the default is deny"),
        ("intentions", "web", "read", True, 'intentions "web" is read'),
        ("intentions", "web", "write", False, 'intentions "web" is read'),
        ("intentions", "api", "write", True, 'intentions "api" is write'),
        ("intentions", "off", "read", False, 'intentions "off" is deny'),
        ("operator", "", "read", True, "operator is read"),
        ("mesh", "", "read", True, "mesh is read"),
        ("peering", "", "write", False, "peering is read"),
        ("acl", "", "read", False, "no rule speaks of it; the default is deny"),
    ],
)
def test_the_nearest_rule_decides_and_says_so(
    resource: str, name: str, access: str, allowed: bool, reason: str
) -> None:  # L10, L21
    decision = Authorizer(parse_rules(POLICY)).decide(resource, name, access)
    assert (decision.allowed, decision.reason) == (allowed, reason)


def test_of_several_policies_the_stronger_level_counts() -> None:  # L21
    def merged(*levels: str) -> Authorizer:
        return Authorizer(Rule("key", "a", True, level) for level in levels)

    assert merged("read", "write").allows("key", "a", "write")
    assert not merged("write", "deny", "write").allows("key", "a", "read")
    assert merged("read", "list").allows("key", "a", "list")
    both = Authorizer([Rule("operator", "", True, "write"), Rule("operator", "", True, "deny")])
    assert not both.allows("operator", "", "read")


def test_a_tree_needs_every_rule_below() -> None:  # L22
    acl = Authorizer(parse_rules(POLICY))
    assert acl.allows_tree("key", "a/b/")
    assert not acl.allows_tree("key", "a/")
    assert not acl.allows_tree("key", "")
    holes = Authorizer(parse_rules('key_prefix "" { policy = "write" } key "a/x" { policy = "deny" }'))
    assert not holes.allows_tree("key", "a/")
    assert holes.allows_tree("key", "b/")
    assert not holes.allows_all("key", "write")


def test_whether_anything_is_allowed_at_all() -> None:
    assert Authorizer(parse_rules(POLICY)).allows_any("service")
    assert not Authorizer(parse_rules('service "a" { policy = "read" }')).allows_any("service")
    assert Authorizer(default_allow=True).allows_any("service")
    closed = parse_rules('service_prefix "" { policy = "deny" }')
    assert not Authorizer(closed, default_allow=True).allows_any("service")


def test_who_manages_may_do_everything() -> None:
    acl = Authorizer([Rule("key", "a", True, "deny")], manages=True)
    assert acl.decide("key", "a", "write")
    assert acl.allows_all("acl", "write")
    assert acl.allows_tree("key", "a")
    assert acl.allows_any("query")


_names = st.text(alphabet="ab/", max_size=4)
_rules = st.lists(
    st.builds(Rule, st.just("key"), _names, st.booleans(), st.sampled_from(RESOURCES["key"].levels)), max_size=8
)


def _slowly(rules: list[Rule], name: str, access: str, default: bool) -> bool:
    """The rule of the surface, word by word."""
    strength = ("read", "list", "write", "deny")
    exact = [rule.level for rule in rules if rule.exact and rule.name == name]
    if not exact:
        prefixes = [rule for rule in rules if not rule.exact and name.startswith(rule.name)]
        longest = max((len(rule.name) for rule in prefixes), default=0)
        exact = [rule.level for rule in prefixes if len(rule.name) == longest]
    if not exact:
        return default
    return access in ACCESS[max(exact, key=strength.index)]


@given(_rules, _names, st.sampled_from(("read", "list", "write")), st.booleans())
def test_it_decides_as_the_words_say(rules: list[Rule], name: str, access: str, default: bool) -> None:
    acl = Authorizer(rules, default_allow=default)
    assert acl.allows("key", name, access) == _slowly(rules, name, access, default)
    assert acl.decide("key", name, access).allowed == acl.allows("key", name, access)


@given(_rules, _names, _names, st.booleans())
def test_a_tree_that_is_allowed_has_no_name_that_is_not(
    rules: list[Rule], prefix: str, rest: str, default: bool
) -> None:
    acl = Authorizer(rules, default_allow=default)
    if acl.allows_tree("key", prefix):
        assert acl.allows("key", prefix + rest, "write")
    if acl.allows("key", prefix + rest, "write"):
        assert acl.allows_any("key")

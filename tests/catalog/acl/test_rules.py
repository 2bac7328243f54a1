from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.catalog.acl.rules import MAX_RULES_BYTES, Rule, parse_rules
from meshagent.errors import InternalError


def test_a_policy_as_people_write_it() -> None:  # L20
    rules = parse_rules(
        """
        # what the web needs
        key_prefix "app/" { policy = "write" }
        key "app/secret" { policy = "deny" }
        service "web" { policy = "write" intentions = "read" }
        service_prefix "" { policy = "read" }
        operator = "read"
        """
    )
    assert set(rules) == {
        Rule("key", "app/", False, "write"),
        Rule("key", "app/secret", True, "deny"),
        Rule("service", "web", True, "write", "read"),
        Rule("service", "", False, "read"),
        Rule("operator", "", True, "read"),
    }


def test_the_same_as_json() -> None:
    text = '{"service": {"web": {"policy": "write"}}, "key_prefix": [{"a": {"policy": "list"}}], "acl": "read"}'
    assert set(parse_rules(text)) == {
        Rule("service", "web", True, "write"),
        Rule("key", "a", False, "list"),
        Rule("acl", "", True, "read"),
    }


def test_of_a_rule_written_twice_the_last_counts() -> None:
    assert parse_rules('acl = "read" acl = "write"') == (Rule("acl", "", True, "write"),)
    text = 'key "a" { policy = "read" }\nkey "a" { policy = "write" }'
    assert parse_rules(text) == (Rule("key", "a", True, "write"),)


@pytest.mark.parametrize(
    "text", ["", "# nothing", 'zork "a" { policy = "read" }', 'namespace "x" { policy = "read" }', 'acl_prefix "" {}']
)
def test_what_is_not_known_means_nothing(text: str) -> None:  # AC11
    assert parse_rules(text) == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'key "a" { policy = "zork" }',
            'Invalid key policy: &acl.KeyRule{Prefix:"a", Policy:"zork", EnterpriseRule:acl.EnterpriseRule{}}',
        ),
        ('key "a" { }', 'Invalid key policy: &acl.KeyRule{Prefix:"a", Policy:"", EnterpriseRule:acl.EnterpriseRule{}}'),
        ('operator = "zork"', 'Invalid operator policy: "zork"'),
        (
            'service "a" { policy = "read" intentions = "zork" }',
            'Invalid service intentions policy: &acl.ServiceRule{Name:"a", Policy:"read", Intentions:"zork", '
            "EnterpriseRule:acl.EnterpriseRule{}}",
        ),
        (
            'node "a" { policy = "list" }',
            'Invalid node policy: &acl.NodeRule{Name:"a", Policy:"list", EnterpriseRule:acl.EnterpriseRule{}}',
        ),
        ("key {", "Failed to parse ACL rules: rules:1:"),
        ("not hcl at all {{{", "Failed to parse ACL rules: rules:1:"),
        ('key = "read"', "Failed to parse ACL rules: key needs a name"),
        ('key "a" = "read"', "Failed to parse ACL rules: "),
        ("operator = 3", "Failed to parse ACL rules: operator is one of read, write, deny"),
    ],
)
def test_what_is_wrong_is_told(text: str, message: str) -> None:  # golden acl-objects
    with pytest.raises(InternalError) as refused:
        parse_rules(text)
    assert str(refused.value).startswith(message)


def test_a_text_beyond_all_measure_is_refused() -> None:
    with pytest.raises(InternalError, match="more than"):
        parse_rules("#" * (MAX_RULES_BYTES + 1))


@given(st.text(alphabet='ackeypolir_{}="/ \n#[],\\x', max_size=80) | st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse_rules(text)
    except InternalError:
        return

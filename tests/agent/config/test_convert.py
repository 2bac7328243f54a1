from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.config.convert import convert, show
from meshagent.agent.config.option import Option
from meshagent.agent.config.root import Config
from meshagent.agent.decode import Problem

OPTIONS = dict(Config.every_option())


def problem(key: str, value: Any) -> str:
    problems: list[Problem] = []
    assert convert(OPTIONS[key], value, problems) is None
    (found,) = problems
    return found.text


@pytest.mark.parametrize(
    ("key", "value", "typed"),
    [
        ("ports.http", 80, 80),
        ("retry_interval", "1m30s", 90.0),
        ("log_level", "warn", "WARN"),
        ("recursors", ["1.1.1.1"], ("1.1.1.1",)),
        ("node_meta", {"a": "b"}, {"a": "b"}),
        ("dns_config.service_ttl", {"*": "5s"}, {"*": 5.0}),
        ("limits.rpc_rate", 10, 10.0),
        ("connect.ca_config", {"leaf_cert_ttl": "1h"}, {"leaf_cert_ttl": "1h"}),
        ("config_entries.bootstrap", [{"kind": "x"}], ({"kind": "x"},)),
    ],
)
def test_values_become_typed(key: str, value: Any, typed: Any) -> None:
    assert convert(OPTIONS[key], value, []) == typed


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("ports.http", "80", "must be a whole number, not a string ('80')"),
        ("ports.http", 70_000, "must be between -1 and 65535, not 70000"),
        ("ports.http", True, "must be a whole number, not a boolean ('True')"),
        ("retry_interval", 10, "must be a duration such as \"10s\", not a number ('10')"),
        ("retry_interval", "10", 'time: missing unit in duration "10"; write it like "10s" or "1h30m"'),
        ("retry_interval", "-1s", "must be at least 0s, not -1s"),
        ("reconnect_timeout", "1h", "must be at least 8h0m0s, not 1h0m0s"),
        ("performance.raft_multiplier", 11, "must be between 1 and 10, not 11"),
        ("acl.default_policy", "maybe", "must be one of allow, deny, not 'maybe'"),
        ("server", "true", "must be true or false, not a string ('true')"),
        ("recursors", "1.1.1.1", "must be a list, not a string ('1.1.1.1')"),
        ("node_meta", ["a"], "must be an object, not a string ('a')"),
    ],
)
def test_what_does_not_fit_is_explained(key: str, value: Any, text: str) -> None:
    assert problem(key, value) == text


def test_values_are_shown_as_written() -> None:
    def shown(kind: str, value: Any) -> str:
        return show(Option(kind=kind, default=None, help=""), value)

    assert shown("duration", 90.0) == "1m30s"
    assert shown("bool", True) == "true"
    assert shown("string", "x") == '"x"'
    assert shown("float", -1.0) == "-1"
    assert shown("list", ("a", "b")) == '["a", "b"]'
    assert shown("map", {"a": "b"}) == "{a = 'b'}"
    assert shown("durations", {"*": 5.0}) == "{* = 5s}"
    assert shown("rows", (1, 2)) == "2 given"
    assert shown("int", None) == "none"


raw = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=5,
)


@given(st.sampled_from(sorted(OPTIONS)), raw)
def test_any_value_is_taken_or_explained(key: str, value: Any) -> None:
    problems: list[Problem] = []
    typed = convert(OPTIONS[key], value, problems)
    assert problems or typed is not None or value is None
    assert all(found.text for found in problems)
    assert isinstance(show(OPTIONS[key], typed), str)

"""Conditions on requests in Envoy's words."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
import re2
from hypothesis import given

from meshagent.catalog.entries.service_intentions import PermissionHeader
from meshagent.catalog.entries.service_router import HeaderMatch
from meshagent.connect.envoy import request_matchers


@given(st.text(max_size=20))
def test_a_literal_matches_itself_alone(value: str) -> None:
    pattern = request_matchers.literal(value)
    assert re2.fullmatch(pattern, value)
    assert not re2.fullmatch(pattern, value + "x")


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (HeaderMatch(name="a", present=True, invert=True), {"name": "a", "present_match": True, "invert_match": True}),
        (HeaderMatch(name="a", suffix="z"), {"name": "a", "string_match": {"suffix": "z"}}),
        (
            PermissionHeader(name="a", contains="b", ignore_case=True),
            {"name": "a", "string_match": {"contains": "b", "ignore_case": True}},
        ),
        (
            PermissionHeader(name="a", regex="b", ignore_case=True),
            {"name": "a", "string_match": {"safe_regex": {"regex": "b"}}},
        ),
    ],
)
def test_headers(condition: Any, expected: dict[str, Any]) -> None:
    assert request_matchers.header(condition) == expected


def test_methods_are_no_expressions() -> None:
    found = request_matchers.methods(("GET", "M.S"))
    assert found == {"name": ":method", "string_match": {"safe_regex": {"regex": r"GET|M\.S"}}}

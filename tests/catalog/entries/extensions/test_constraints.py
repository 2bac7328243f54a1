"""Constraints of versions, as github.com/hashicorp/go-version has them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.catalog.entries.extensions.constraints import matches, problem


@pytest.mark.parametrize(
    ("constraint", "version", "is_for"),
    [
        ("", "1.40.0", True),
        ("1.40.0", "1.40.0", True),
        ("= 1.40", "1.40.0", True),
        ("!= 1.40.0", "1.40.0", False),
        (">= 1.28, < 1.40", "1.40.0", False),
        (">= 1.28, < 2", "1.40.0", True),
        ("> 1.40.0", "1.40.1", True),
        ("<= 1.40", "1.40.0-dev", True),
        ("~> 1.28", "1.40.0", True),
        ("~> 1.28.3", "1.28.9", True),
        ("~> 1.28.3", "1.29.0", False),
        ("~> 1.28.3", "1.28.2", False),
        ("~> 1", "9.0.0", True),
        (">= 1.0", "", True),
        ("nope", "1.40.0", False),
    ],
)
def test_which_versions_match(constraint: str, version: str, is_for: bool) -> None:
    assert matches(constraint, version) is is_for


def test_what_is_no_constraint() -> None:
    assert problem("") == problem(">= 1.2, < 3") == ""
    assert problem(">= 1.2, nope") == "Malformed constraint:  nope"
    assert problem("~= 1") == "Malformed constraint: ~= 1"


@given(st.text(), st.text())
def test_any_text_is_one_or_is_refused(constraint: str, version: str) -> None:
    assert problem(constraint) or isinstance(matches(constraint, version), bool)

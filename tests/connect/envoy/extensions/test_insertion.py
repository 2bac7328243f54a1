"""Where a filter goes."""

from __future__ import annotations

import pytest

from meshagent.connect.envoy.extensions.insertion import before_last, insert


def filters(names: str) -> list[dict[str, str]]:
    return [{"name": name} for name in names]


@pytest.mark.parametrize(
    ("location", "name", "found"),
    [
        ("First", "", "xabar"),
        ("BeforeLast", "a", "abaxr"),
        ("AfterFirstMatch", "a", "axbar"),
        ("AfterLastMatch", "a", "abaxr"),
        ("BeforeFirstMatch", "a", "xabar"),
        ("BeforeLastMatch", "a", "abxar"),
        ("BeforeFirstMatch", "", "abaxr"),
        ("BeforeFirstMatch", "nope", "abaxr"),
        ("AfterFirstMatch", "nope", "abaxr"),
        ("", "", "abaxr"),
    ],
)
def test_each_place(location: str, name: str, found: str) -> None:
    made = filters("abar")
    insert(made, {"name": "x"}, location, name)
    assert "".join(one["name"] for one in made) == found


def test_before_the_one_that_ends_the_chain() -> None:
    made = filters("r")
    before_last(made, {"name": "x"})
    assert [one["name"] for one in made] == ["x", "r"]

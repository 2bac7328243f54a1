from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.http.target import Target, clean_path, parse_target, without_token


@pytest.mark.parametrize(
    ("raw", "target"),
    [
        ("/v1/kv/a%2Fb?x=1?2", Target("/v1/kv/a%2Fb", "/v1/kv/a/b", "x=1?2")),
        ("http://host:8500/v1/kv/a", Target("/v1/kv/a", "/v1/kv/a", "")),
        ("http://host?x", Target("/", "/", "x")),
        ("/", Target("/", "/", "")),
    ],
)
def test_c1_targets(raw: str, target: Target) -> None:
    assert parse_target(raw) == target


@pytest.mark.parametrize("raw", ["/v1/kv/%", "/v1/%zz", "*", "v1/kv", "ftp://x/"])
def test_c1_bad_targets(raw: str) -> None:
    with pytest.raises(ValueError, match=r"escape|not a path"):
        parse_target(raw)


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("/v1//status/leader", "/v1/status/leader"),
        ("/v1/./status/leader", "/v1/status/leader"),
        ("/v1/kv/x/../up", "/v1/kv/up"),
        ("/v1/kv/trail///", "/v1/kv/trail/"),
        ("//v1/status/leader", "/v1/status/leader"),
        ("/../..", "/"),
    ],
)
def test_c1_unclean_paths(raw: str, cleaned: str) -> None:
    assert not parse_target(raw).clean
    assert clean_path(raw) == cleaned


@given(st.text(alphabet="/.ab").map(lambda text: "/" + text))
def test_c1_cleaning_ends(path: str) -> None:
    cleaned = clean_path(path)
    assert parse_target(cleaned).clean
    assert clean_path(cleaned) == cleaned
    assert parse_target(path).clean == (cleaned == path)


@pytest.mark.parametrize("path", ["/a%0ab", "/a%00", "/a%7f", "/tab%09"])
def test_c29_control_characters(path: str) -> None:
    assert not parse_target(path).printable
    assert parse_target("/a%20b").printable


@given(st.text())
def test_any_text_parses_or_raises_the_named_error(raw: str) -> None:
    try:
        target = parse_target(raw)
    except ValueError:
        return
    assert target.path is not None


def test_a_token_is_not_in_what_is_logged() -> None:
    assert without_token("/v1/kv/a?dc=x&token=s3cret&b=1") == "/v1/kv/a?dc=x&token=<hidden>&b=1"
    assert without_token("/v1/kv/a?token=s3cret") == "/v1/kv/a?token=<hidden>"
    assert without_token("/v1/kv/token=a") == "/v1/kv/token=a"

"""Header changes; whole routes with them are in test_routes.py."""

from __future__ import annotations

from meshagent.catalog.entries.entry import HeaderModifiers
from meshagent.connect.envoy import headers


def test_what_is_set_replaces_and_the_authority_is_no_header() -> None:
    modifiers = HeaderModifiers(add={"x-a": "1"}, set={"x-b": "2", "Host": "other"}, remove=("x-c",))
    assert headers.header_edits(modifiers, None) == {
        "request_headers_to_add": [
            {"header": {"key": "x-a", "value": "1"}},
            {"header": {"key": "x-b", "value": "2"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"},
        ],
        "request_headers_to_remove": ["x-c"],
    }
    assert (headers.authority_of(modifiers), headers.authority_of(None)) == ("other", "")


def test_percent_signs_stay_unless_they_begin_a_command() -> None:
    assert headers.escaped("100%") == "100%%"
    assert headers.escaped("%REQ(x-a?y)% at %START_TIME(%s)%, 5% of 100%%") == (
        "%REQ(x-a?y)% at %START_TIME(%s)%, 5%% of 100%%"
    )

"""Weak decoding (surface rows C7, CF1)."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from meshagent.catalog.entries.table import CONFIG_ENTRIES, parse
from meshagent.errors import BadRequest, Denied


def _refused(raw: dict[str, Any]) -> str:
    with pytest.raises(BadRequest) as caught:
        parse(raw)
    return str(caught.value).removeprefix("Request decoding failed: ")


def test_weak_types() -> None:
    entry: Any = parse(
        {
            "kind": "service-router", "NAME": 5,
            "routes": {"match": {"http": {"methods": "get", "header": {"name": "x", "present": "true"}}},
                       "destination": {"num_retries": "3", "request_timeout": 5_000_000_000}},
        }
    )  # fmt: skip
    (route,) = entry.routes
    assert entry.name == "5"
    assert (route.match.http.methods, route.match.http.header[0].present) == (("GET",), True)
    assert (route.destination.num_retries, route.destination.request_timeout) == (3, "5s")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"Name": {}}, None),
        ({"Meta": 5}, "1 error(s) decoding:\n\n* 'Meta' expected a map, got 'float64'"),
        (
            {"Name": {"a": [1, True]}},
            "1 error(s) decoding:\n\n* 'Name' expected type 'string', got unconvertible type "
            "'map[string]interface {}', value: 'map[a:[1 true]]'",
        ),
        (
            {"MaxInboundConnections": "x", "Expose": {"Checks": "y"}},
            "2 error(s) decoding:\n\n* cannot parse 'Expose.Checks' as bool: strconv.ParseBool: parsing \"y\": invalid "
            "syntax\n* cannot parse 'MaxInboundConnections' as int: strconv.ParseInt: parsing \"x\": invalid syntax",
        ),
        (
            {"Expose": {"Zork": 1}, "Foo": 2},
            '2 errors occurred:\n\t* invalid config key "Expose.Zork"\n\t* invalid config key "Foo"\n\n',
        ),
    ],
)
def test_messages(fields: dict[str, Any], message: str | None) -> None:
    raw = {"Kind": "service-defaults", **fields}
    if message is None:
        parse(raw)
    else:
        assert _refused(raw) == message


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["Name", "Routes", "Match", "HTTP", "Subsets", "Sources", "Listeners", "Services", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.sampled_from(sorted(CONFIG_ENTRIES)), st.dictionaries(st.text(max_size=8), values, max_size=5), values)
def test_any_value_is_an_entry_or_refused(kind: str, fields: dict[str, Any], nested: Any) -> None:
    raw = {**fields, "Kind": kind}
    for key in ("Routes", "Splits", "Subsets", "Sources", "Listeners", "Services", "Rules", "Config"):
        raw[key] = nested
        try:
            assert isinstance(parse(raw).problem(), str)
        except (BadRequest, Denied):
            pass
        del raw[key]

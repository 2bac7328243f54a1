"""Resources of Envoy become bytes and come back; what is not Envoy's is refused with its name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.connect.envoy.resources import CLUSTER, LISTENER, typed
from meshagent.connect.envoy.wire import decode, encode, read
from meshagent.errors import BadRequest

RECORDED = sorted((Path(__file__).parents[2] / "data" / "golden" / "mesh" / "xds").glob("*.json"))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_everything_that_was_recorded_is_understood(path: Path) -> None:
    for proxy in json.loads(path.read_text())["proxies"].values():
        for kind in ("listeners", "clusters", "routes", "endpoints"):
            for resource in proxy[kind].values():
                data = encode(resource)
                again = decode(data, resource["@type"])
                assert decode(encode(again, resource["@type"]), resource["@type"]) == again


def test_types_inside_are_found_without_being_listed() -> None:
    lua = typed("envoy.extensions.filters.http.lua.v3.Lua", {"default_source_code": {"inline_string": "x"}})
    assert decode(encode(lua), lua["@type"]) == {"default_source_code": {"inline_string": "x"}}


@pytest.mark.parametrize(
    ("resource", "words"),
    [
        ({"@type": "type.googleapis.com/envoy.no.Such"}, "Envoy has no message 'envoy.no.Such'"),
        ({"@type": "type.googleapis.com/os.system.Thing"}, "Envoy has no message 'os.system.Thing'"),
        ({"@type": CLUSTER, "nonsense": 1}, "nonsense"),
        ({"@type": CLUSTER, "connect_timeout": "soon"}, "connect_timeout"),
        ({"@type": LISTENER, "filter_chains": [{"filters": [{"typed_config": {"@type": "x"}}]}]}, "'x'"),
    ],
)
def test_what_is_not_of_envoy_is_named(resource: dict[str, object], words: str) -> None:
    with pytest.raises(BadRequest, match="(?s)" + words.replace(".", r"\.")):
        read(resource)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_are_refused(data: bytes) -> None:
    try:
        found = decode(data, CLUSTER)
    except BadRequest:
        return
    assert isinstance(found, dict)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=20), inner, max_size=3),
        max_leaves=10,
    )
)
def test_any_json_is_a_message_or_is_refused(value: object) -> None:
    try:
        read({"name": "x", "load_assignment": value}, CLUSTER)
    except BadRequest:
        pass

"""Free-form arguments as typed values: names, weak types, what is refused."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.catalog.entries.extensions.arguments import MAX_DEPTH, BadArguments, duration_problem, one_of, read
from meshagent.catalog.entries.extensions.ext_authz import ExtAuthz
from meshagent.catalog.entries.extensions.lua import Lua
from meshagent.catalog.entries.extensions.property_override import PropertyOverride
from meshagent.catalog.entries.extensions.table import EXTENSIONS


@pytest.mark.parametrize("names", [("ProxyType", "Script"), ("proxyType", "script"), ("proxy_type", "SCRIPT")])
def test_names_count_without_case_and_underscores(names: tuple[str, str]) -> None:
    assert read({names[0]: "api-gateway", names[1]: "x"}, Lua) == Lua(proxy_type="api-gateway", script="x")


def test_numbers_and_lists_may_be_written_otherwise() -> None:
    made = read({"config": [{"status_on_error": "503", "metadataContextNamespaces": "a"}]}, ExtAuthz)
    assert (made.config.status_on_error, made.config.metadata_context_namespaces) == (503, ("a",))
    assert read({"Script": 5}, Lua).script == "5"
    assert len(read({"Patches": {"Op": "add"}}, PropertyOverride).patches) == 1


def test_what_is_not_known_or_empty_is_passed_over() -> None:
    assert read({"Nope": 1, "Script": None}, Lua) == Lua()
    assert read(None, Lua) == Lua()


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"Config": 5}, "Config: a map is wanted"),
        ({"Config": {"StatusOnError": "x"}}, "Config.StatusOnError: Expected `int`, got `str`"),
        (
            {"Config": {"GrpcService": {"Target": {"Service": []}}}},
            "Config.GrpcService.Target.Service: a map is wanted",
        ),
    ],
)
def test_other_shapes_are_refused_by_name(raw: dict[str, Any], message: str) -> None:
    with pytest.raises(BadArguments) as caught:
        read(raw, ExtAuthz)
    assert str(caught.value) == message


def test_values_in_each_other_have_an_end() -> None:
    class Deep(msgspec.Struct):
        inner: Deep | None = None

    globals()["Deep"] = Deep
    raw: dict[str, Any] = {}
    for _ in range(MAX_DEPTH + 1):
        raw = {"Inner": raw}
    with pytest.raises(BadArguments, match="more than 16 values in each other"):
        read(raw, Deep)


def test_durations_and_words() -> None:
    assert duration_problem("T", "") == duration_problem("T", "1s") == []
    assert duration_problem("T", "x") == ['T: "x" is not a duration']
    assert duration_problem("T", "0s") == ["T must be more than 0"]
    assert one_of("Op", "add", ("add",)) == []
    assert one_of("Op", "x", ("add",)) == ['unexpected Op "x"']


_NAMES = st.sampled_from(
    ["Config", "GrpcService", "HttpService", "Target", "URI", "Service", "Name", "Patches", "Path", "Value", "Op",
     "ResourceFilter", "ResourceType", "TrafficDirection", "PluginConfig", "VmConfig", "Code", "Remote", "Listener"]
)  # fmt: skip
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=4),
    max_leaves=12,
)


@given(st.sampled_from(sorted(EXTENSIONS)), st.dictionaries(_NAMES, _JSON, max_size=4))
def test_anything_is_read_or_refused(name: str, raw: dict[str, Any]) -> None:
    with contextlib.suppress(BadArguments):
        assert all(isinstance(one, str) for one in read(raw, EXTENSIONS[name]).problems())

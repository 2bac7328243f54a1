"""The table of kinds (house rule 11; surface rows CF1, M20)."""

from __future__ import annotations

import json
import typing

import pytest
from meshtest.config_entries import write

from meshagent.catalog.entries.table import CONFIG_ENTRIES, ConfigEntry, EntryKind, content, known_kind, parse
from meshagent.catalog.store import Store
from meshagent.errors import BadRequest, InternalError

each_kind = pytest.mark.parametrize("row", CONFIG_ENTRIES.values(), ids=list(CONFIG_ENTRIES))


@each_kind
def test_its_example_works(row: EntryKind) -> None:
    raw = json.loads(row.example)
    assert raw["Kind"] == row.kind
    if not row.writable or row.kind in {"sameness-group", "inline-certificate"}:
        assert write(Store(), raw) != ""
        return
    store = Store()
    for name in ("web", "a", "next", "global"):
        if row.kind in {"service-router", "service-splitter"}:
            write(store, {"Kind": "service-defaults", "Name": name, "Protocol": "http"})
    assert write(store, raw) == ""


def test_every_stored_kind_has_a_row() -> None:
    stored = {str(one.__struct_config__.tag) for one in typing.get_args(ConfigEntry)}
    assert stored == set(CONFIG_ENTRIES) - {"sameness-group"}


def test_unknown_kinds() -> None:
    with pytest.raises(InternalError, match=r"^invalid config entry kind: bogus$"):
        known_kind("bogus")
    assert known_kind("mesh").write == "mesh:write"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ([], "'' expected a map, got 'slice'"),
        (None, "Payload does not contain a kind/Kind key at the top level"),
        ({"Kind": 5}, "Kind value in payload is not a string"),
        ({"Kind": "bogus"}, "invalid config entry kind: bogus"),
    ],
)
def test_what_is_no_entry(raw: object, message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse(raw)
    assert str(caught.value) == f"Request decoding failed: {message}"


def test_what_was_read_can_be_written_back() -> None:
    raw = {"Kind": "service-defaults", "Name": "a", "Hash": 5, "CreateIndex": 3, "ModifyIndex": 9}
    assert content(parse(raw)) == content(parse({"Kind": "service-defaults", "Name": "a"}))

"""`?filter` over config entries (surface rows F6, CF2)."""

from __future__ import annotations

import pytest

from meshagent.catalog.entries.entry import Entry
from meshagent.catalog.entries.selectors import filter_kind
from meshagent.catalog.entries.service_defaults import ServiceDefaults, UpstreamConfig, UpstreamSettings
from meshagent.catalog.entries.table import CONFIG_ENTRIES
from meshagent.catalog.filters import compile_filter
from meshagent.errors import InternalError

ROW = ServiceDefaults(
    name="a", protocol="http", meta={"m": "1"}, upstream_config=UpstreamConfig(overrides=(UpstreamSettings(name="db"),))
)


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("Protocol == http", True),
        ("Kind == `service-defaults`", True),
        ("Meta.m == 1", True),
        ("UpstreamConfig.Overrides.Name == db", True),
        ("MeshGateway.Mode == local", False),
        ("Destination.Port == 1", False),
    ],
)
def test_fields(expression: str, found: bool) -> None:
    assert compile_filter(expression, filter_kind(ServiceDefaults))(ROW) is found


def test_a_missing_field_is_refused() -> None:
    with pytest.raises(InternalError, match='Selector "Zork" is not valid'):
        compile_filter("Zork == 1", filter_kind(ServiceDefaults))


@pytest.mark.parametrize("type_", [Entry, *(row.type for row in CONFIG_ENTRIES.values())])
def test_every_kind_has_its_selectors(type_: type[Entry]) -> None:
    assert compile_filter("Name == a", filter_kind(type_))(type_(name="a"))

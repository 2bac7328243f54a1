"""Copies and faults of routes and resolvers (surface row M76): ours, so checked here alone."""

from __future__ import annotations

from typing import Any

import pytest
from meshtest.config_entries import http_store, write

from meshagent.catalog.entries.experiments import percent_of
from meshagent.catalog.entries.table import parse


def router(**destination: Any) -> dict[str, Any]:
    return {"Kind": "service-router", "Name": "web", "Routes": [{"Destination": destination}]}


def resolver(**fields: Any) -> dict[str, Any]:
    return {"Kind": "service-resolver", "Name": "web", **fields}


WRONG = [
    ({"Mirror": {}}, "Mirror must name a Service or a ServiceSubset"),
    ({"Mirror": {"Service": "full", "Percent": 101}}, "Mirror.Percent must be between 0 and 100: 101"),
    ({"Mirror": {"Service": "full", "Percent": -1}}, "Mirror.Percent must be between 0 and 100: -1"),
    ({"Fault": {"DelayPercent": 5}}, "Fault must have a Delay or an AbortStatus"),
    ({"Fault": {"Delay": "11m"}}, 'Fault.Delay must be above 0 and at most 10m: "11m0s"'),
    ({"Fault": {"Delay": "-1s"}}, 'Fault.Delay must be above 0 and at most 10m: "-1s"'),
    ({"Fault": {"AbortStatus": 199}}, "Fault.AbortStatus must be between 200 and 599: 199"),
    ({"Fault": {"AbortStatus": 503, "AbortPercent": 100.5}}, "Fault.AbortPercent must be between 0 and 100: 100.5"),
    ({"Fault": {"Delay": "1s", "DelayPercent": -2}}, "Fault.DelayPercent must be between 0 and 100: -2"),
    ({"Fault": {"AbortStatus": 503, "Header": "a b"}}, 'Fault.Header is not the name of a header: "a b"'),
    ({"Fault": {"AbortStatus": 503, "HeaderValue": "x"}}, "Fault.HeaderValue needs a Header"),
    ({"Fault": {"AbortStatus": 503, "Header": "x", "HeaderValue": "a\nb"}}, "Fault.HeaderValue must be one line"),
]


@pytest.mark.parametrize(("fields", "problem"), WRONG)
def test_what_is_wrong_is_named(fields: dict[str, Any], problem: str) -> None:
    assert parse(router(**fields)).problem() == f"Route[0] {problem}"
    assert parse(resolver(**fields)).problem() == problem


def test_a_redirect_sends_nothing_on() -> None:
    found = parse(router(Redirect={"HostRedirect": "a"}, Mirror={"Service": "full"})).problem()
    assert found == "Route[0] Redirect cannot be combined with other fields of Destination than ResponseHeaders"


def test_a_percentage_of_0_is_none_and_none_is_all() -> None:
    made: Any = parse(resolver(Mirror={"Service": "a", "Percent": 0}))
    assert percent_of(made.mirror.percent) == 0
    made = parse(resolver(Mirror={"Service": "a"}))
    assert percent_of(made.mirror.percent) == 100


@pytest.mark.parametrize("make", [router, resolver])
def test_copies_go_to_a_service_of_the_same_protocol(make: Any) -> None:
    store = http_store()
    assert write(store, make(Mirror={"Service": "full"})) == ""
    assert 'service "other" has "tcp"' in write(store, make(Mirror={"Service": "other"}))
    assert 'does not have a subset named "v9"' in write(store, make(Mirror={"Service": "full", "ServiceSubset": "v9"}))
    broken = write(store, {"Kind": "service-defaults", "Name": "full", "Protocol": "tcp"})
    assert 'inconsistent protocols; service "full" has "tcp"' in broken, "a change of the other service is looked at"

"""Arguments of `builtin/property-override`."""

from __future__ import annotations

from typing import Any

import pytest

from meshagent.catalog.entries.extensions.arguments import read
from meshagent.catalog.entries.extensions.property_override import PropertyOverride

GOOD: dict[str, Any] = {
    "ResourceFilter": {"ResourceType": "cluster", "TrafficDirection": "outbound", "Services": [{"Name": "api"}]},
    "Op": "add",
    "Path": "/outlier_detection/enforcing_consecutive_5xx",
    "Value": 1234,
}
INBOUND = {"ResourceType": "listener", "TrafficDirection": "inbound"}


def problems(**patch: Any) -> list[str]:
    return read({"Patches": [GOOD | patch]}, PropertyOverride).problems()


def test_the_example_of_the_documentation() -> None:
    assert problems() == []
    assert problems(Op="remove", Value=None) == []
    assert PropertyOverride().problems() == ["at least one patch is required"]


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ({"Op": "replace"}, 'unexpected Op "replace"'),
        ({"Value": None}, "field Value is required for the Op add"),
        ({"Op": "remove"}, "field Value is not supported for the Op remove"),
        ({"ResourceFilter": {**INBOUND, "ResourceType": "x"}}, 'unexpected ResourceType "x"'),
        ({"ResourceFilter": {**INBOUND, "TrafficDirection": ""}}, 'unexpected TrafficDirection ""'),
        (
            {"ResourceFilter": {**INBOUND, "Services": [{"Name": "a"}]}},
            "patch contains non-empty ResourceFilter.Services but ResourceFilter.TrafficDirection is inbound",
        ),
        ({"ResourceFilter": {**GOOD["ResourceFilter"], "Services": [{}]}}, "service name is required"),
        ({"Path": "/nope"}, "no match for field 'nope'!"),
        ({"Value": "x"}, "could not set value 'x' of field 'value': it is no integer"),
    ],
)
def test_what_is_wrong(patch: dict[str, Any], message: str) -> None:
    [problem] = problems(**patch)
    assert problem.startswith(f"invalid Patches[0]: {message}")

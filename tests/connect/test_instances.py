"""Instances as endpoints: which may be dialled."""

from __future__ import annotations

import pytest

from meshagent.catalog.entries.service_resolver import Subset
from meshagent.catalog.model import Check, MeshGateway, Node, Service, ServiceEntry, TransparentProxy, Weights
from meshagent.connect.chain import Target
from meshagent.connect.instances import sorted_out


def target(**subset: object) -> Target:
    return Target(
        "web", "web", "", "dc1", "", "5s", MeshGateway(), Subset(**subset), TransparentProxy(), False, "", ""  # type: ignore[arg-type]
    )  # fmt: skip


def instance(
    id_: str, *statuses: str, meta: dict[str, str] | None = None, weights: Weights | None = None
) -> ServiceEntry:
    service = Service(id=id_, name="web", port=80, meta=meta, weights=weights or Weights(passing=3, warning=1))
    checks = tuple(Check(node="n", check_id=f"c{at}", status=status) for at, status in enumerate(statuses))
    return ServiceEntry(node=Node(name="n", address="10.0.0.1"), service=service, checks=checks)


ROWS = [instance("b", "passing"), instance("a", "passing", "warning"), instance("c", "critical")]


def test_critical_ones_are_not_dialled_and_warnings_have_their_weight() -> None:
    good, bad = sorted_out(ROWS, target())
    assert [(one.id, one.status, one.weight, one.address) for one in good] == [
        ("a", "warning", 1, "10.0.0.1"),
        ("b", "passing", 3, "10.0.0.1"),
    ]
    assert [(one.id, one.status) for one in bad] == [("c", "critical")]


def test_a_subset_may_want_passing_ones_alone() -> None:
    good, bad = sorted_out(ROWS, target(only_passing=True))
    assert ([one.id for one in good], [one.id for one in bad]) == (["b"], ["a", "c"])


def test_a_subset_filters() -> None:
    rows = [instance("a", meta={"v": "1"}), instance("b", meta={"v": "2"})]
    assert [one.id for one in sorted_out(rows, target(filter='Service.Meta.v == "2"'))[0]] == ["b"]


@pytest.mark.parametrize("weight", [0, 70000])
def test_weights_are_bounded(weight: int) -> None:
    good, bad = sorted_out([instance("a", weights=Weights(passing=weight, warning=1))], target())
    assert [one.weight for one in good] == ([65535] if weight else [])
    assert [one.weight for one in bad] == ([] if weight else [1])

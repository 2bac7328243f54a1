"""Coordinates (surface rows CO2, C22)."""

import math

from meshtest.rows import deregister, node, register

from meshagent.catalog import queries
from meshagent.catalog.commands import CoordinateBatch
from meshagent.catalog.coordinates import distance_s
from meshagent.catalog.model import Coordinate, CoordinateRow
from meshagent.catalog.store import Store


def at(x_s: float, **fields) -> Coordinate:
    return Coordinate(vec=(x_s, *(0.0,) * 7), error=0.1, **fields)


def placed(**places: float) -> Store:
    store = Store()
    for name, x_s in places.items():
        register(store, node(name))
        store.execute(CoordinateBatch((CoordinateRow(node=name, coord=at(x_s)),)))
    return store


def test_the_distance_has_heights_and_adjustments():
    assert math.isclose(distance_s(at(0, height=0.1), at(1, height=0.2)), 1.3)
    assert math.isclose(distance_s(at(0, height=0, adjustment=-0.5), at(1, height=0)), 0.5)
    assert math.isclose(distance_s(at(0, height=0, adjustment=-5), at(1, height=0)), 1.0), "never negative"


def test_rows_sort_by_distance_and_unknown_nodes_go_last():
    store = placed(a=0.001, b=0.05, c=0.01)
    rows = ["new", "b", "c", "a"]
    assert queries.sort_by_distance(store, "a", rows, str) == ["a", "c", "b", "new"]
    assert queries.sort_by_distance(store, "nobody", rows, str) == rows


def test_a_coordinate_of_an_unknown_node_is_ignored_and_goes_with_its_node():
    store = placed(a=0.1)
    store.execute(CoordinateBatch((CoordinateRow(node="ghost", coord=at(0)),)))
    assert [row.node for row in queries.coordinate_nodes(store).rows] == ["a"]
    deregister(store, "a")
    assert queries.coordinate_nodes(store).rows == []

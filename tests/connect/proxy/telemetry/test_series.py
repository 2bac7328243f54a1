"""Counts of one edge."""

from meshagent.connect.proxy.telemetry.series import BOUNDS_S, Series


def test_a_request_goes_into_its_class_and_bucket() -> None:
    series = Series(("inbound", "web", "api", "r"))
    series.observe(204, 0.0005, 10, 20)
    series.observe(503, 0.0006, 1, 2)
    series.observe(0, 1e9, 0, 0)
    series.observe(999, 0.1, 0, 0)
    assert series.requests == [2, 0, 1, 0, 0, 1]
    assert (series.buckets[0], series.buckets[1], series.buckets[-1]) == (1, 1, 1)
    assert (series.bytes_in, series.bytes_out) == (11, 22)
    assert list(BOUNDS_S) == sorted(set(BOUNDS_S))


def test_it_is_shown_with_names() -> None:
    series = Series(("inbound", "web", "api", "r"))
    series.paths["GET", "/x"] = [3]
    shown = series.shown()
    assert (shown["source"], shown["paths"], shown["denied"]) == ("web", [["GET", "/x", 3]], 0)

"""Counts as a log line."""

from meshagent.connect.proxy.tallies import Tallies


def test_every_count_is_named() -> None:
    assert Tallies(accepted=3).text().startswith("accepted=3 denied=0 ")

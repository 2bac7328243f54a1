import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.checks.status import Counters, CriticalCheck, Thresholds, reap, step


def published(thresholds, results):
    """What each result publishes, by first letter; "-" for nothing."""
    counters = Counters.start(thresholds)
    out = ""
    for letter in results:
        word = {"p": "passing", "w": "warning", "c": "critical"}[letter]
        counters, status = step(thresholds, counters, word)
        out += status[0] if status else "-"
    return out


@pytest.mark.parametrize(
    ("passing", "warning", "critical", "results", "expected"),
    [
        (0, 0, 0, "pcwp", "pcwp"),  # no thresholds: at once
        (3, 0, 0, "pcppp", "pc--p"),  # K3: success_before_passing; the first result always counts
        (0, 0, 3, "pccccp", "p--ccp"),  # failures_before_critical; warning defaults to the same
        (0, 2, 4, "pccccc", "p-wwcc"),  # failures_before_warning
        (0, 1, 3, "pccc", "pwwc"),
        (0, 0, 2, "cpcpcc", "cp-p-c"),  # the first result counts; a success starts the count again
        (2, 0, 0, "cwww", "c-ww"),  # a warning is a success, as in Consul
        (2, 0, 2, "ccpcpp", "cc---p"),  # between the thresholds nothing changes
    ],
)
def test_thresholds(passing, warning, critical, results, expected):
    thresholds = Thresholds(passing, warning or critical, critical)
    assert published(thresholds, results) == expected


def test_warning_threshold_defaults_to_that_of_critical(define):
    assert Thresholds.of(define("tcp", tcp="h:1", failures_before_critical=4)) == Thresholds(0, 4, 4)
    assert Thresholds.of(define("tcp", tcp="h:1", failures_before_critical=4, failures_before_warning=2)) == Thresholds(
        0, 2, 4
    )


@given(st.integers(2, 4), st.integers(2, 4), st.text("pwc", min_size=1, max_size=40))
def test_after_a_change_as_many_results_in_a_row_are_needed(passing, critical, results):
    shown = published(Thresholds(passing, critical, critical), results)
    for at, (letter, result) in enumerate(zip(shown, results, strict=True)):
        so_far = results[: at + 1]
        same = [r for r in so_far if (r == "c") == (result == "c")]
        needed = critical if result == "c" else passing
        in_a_row = len(so_far) - max((n for n, r in enumerate(so_far) if (r == "c") != (result == "c")), default=-1) - 1
        unbroken = len(same) == len(so_far)
        assert letter == (result if unbroken or in_a_row >= needed else "-")


def test_reap_takes_services_that_were_critical_for_longer_than_they_allow():
    """K4: floor one minute, each service once, node checks and checks without the option never."""
    checks = [
        CriticalCheck("c1", "web", critical_since=0.0, deregister_after_s=90.0),
        CriticalCheck("c2", "web", critical_since=0.0, deregister_after_s=60.0),
        CriticalCheck("node", "", critical_since=0.0, deregister_after_s=60.0),
        CriticalCheck("never", "db", critical_since=0.0, deregister_after_s=0.0),
        CriticalCheck("floor", "api", critical_since=40.0, deregister_after_s=1.0),
        CriticalCheck("later", "cache", critical_since=50.0, deregister_after_s=60.0),
    ]
    assert [(r.service_id, r.check_id) for r in reap(checks, 60.0, 60.0)] == []
    assert [(r.service_id, r.check_id) for r in reap(checks, 101.0, 60.0)] == [("web", "c1"), ("api", "floor")]
    assert reap(checks, 101.0, 60.0)[0].reason == "check c1 has been critical for 101s"

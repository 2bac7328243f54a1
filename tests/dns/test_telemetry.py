from __future__ import annotations

from datetime import UTC, datetime

from meshagent.dns.telemetry import Telemetry
from meshagent.metrics import Metrics

NOW = datetime(2024, 1, 1, tzinfo=UTC)


def test_each_query_counts_with_its_share_of_the_batch() -> None:
    # G42
    metrics = Metrics()
    telemetry = Telemetry(metrics, "n1")
    telemetry.answers(4, 0.002)
    telemetry.reverse(0.003)
    rows = {row["Name"]: row for row in metrics.display(NOW)["Samples"]}
    assert (rows["consul.dns.domain_query"]["Count"], rows["consul.dns.domain_query"]["Mean"]) == (4, 0.5)
    assert rows["consul.dns.domain_query"]["Labels"] == {"node": "n1"}
    assert rows["consul.dns.ptr_query"]["Mean"] == 3
    assert telemetry.answered == 4


def test_without_metrics_it_only_counts() -> None:
    telemetry = Telemetry(None, "n1")
    telemetry.answers(2, 0.1)
    telemetry.reverse(0.1)
    assert telemetry.answered == 2


def test_a_sink_that_takes_many_at_once_is_called_once() -> None:
    class Sampler:
        def __init__(self) -> None:
            self.calls: list[tuple[float, int]] = []

        def sample(self, value_ms: float) -> None:
            raise AssertionError("one by one")

        def sample_many(self, value_ms: float, count: int) -> None:
            self.calls.append((value_ms, count))

    class Sink:
        made = Sampler()

        def sampler(self, name: str, labels: object = ()) -> Sampler:
            return self.made

    Telemetry(Sink(), "n1").answers(10, 0.01)
    assert Sink.made.calls == [(1.0, 10)]

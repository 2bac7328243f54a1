import pytest

from meshagent.agent.gossip.serf_settings import SerfSettings


@pytest.mark.parametrize(("nodes", "seconds"), [(1, 3.2), (9, 3.2), (10, 6.4), (99, 6.4), (1000, 12.8)])
def test_how_long_a_query_runs(nodes: int, seconds: float) -> None:
    assert SerfSettings().query_timeout_s(nodes) == pytest.approx(seconds)

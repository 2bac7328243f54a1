from meshagent.agent.gossip.retry_join import RetryJoin


def test_without_an_end_the_first_attempts_come_quickly() -> None:
    joining = RetryJoin(["a"], 30.0, 0)
    assert [joining.failed() for _ in range(8)] == [1, 2, 4, 8, 16, 30, 30, 30]
    for _ in range(5000):
        assert joining.failed() == 30.0


def test_with_an_end_they_are_as_far_apart_as_configured() -> None:
    joining = RetryJoin(["a"], 30.0, 2)
    assert [joining.failed() for _ in range(3)] == [30.0, 30.0, None]


def test_a_short_interval_is_never_exceeded() -> None:
    assert RetryJoin(["a"], 0.25, 0).failed() == 0.25

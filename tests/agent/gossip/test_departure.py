import pytest

from meshagent.agent.gossip.departure import Departure, Step


def leaving() -> Departure:
    departure = Departure(tell_s=5.0, stay_s=3.0)
    assert departure.begin(100.0)
    return departure


def test_told_sent_stayed_gone() -> None:
    departure = leaving()
    assert departure.advance(101.0) is None
    departure.told()
    assert departure.advance(101.0) is Step.LEAVING
    assert departure.advance(101.5) is None
    assert departure.advance(102.0, sent=True) is Step.STAYING
    assert departure.due == 105.0
    assert departure.advance(104.9) is None
    assert departure.advance(105.0) is Step.GONE
    assert departure.due is None


def test_every_step_ends_by_itself() -> None:
    departure = leaving()
    steps = [departure.advance(at) for at in (105.0, 110.0, 113.0)]
    assert steps == [Step.LEAVING, Step.STAYING, Step.GONE]


def test_alone_nobody_is_waited_for() -> None:
    departure = leaving()
    departure.told()
    assert departure.advance(100.0, others=False) is Step.LEAVING
    assert departure.advance(100.0, sent=True, others=False) is Step.STAYING
    assert departure.advance(100.0, others=False) is Step.GONE


def test_it_is_begun_once() -> None:
    assert not leaving().begin(101.0)


@pytest.mark.parametrize("sent", [False, True])
def test_who_is_here_goes_nowhere(sent: bool) -> None:
    departure = Departure(tell_s=5.0, stay_s=3.0)
    departure.told()
    assert departure.advance(1000.0, sent=sent) is None
    assert departure.step is Step.HERE

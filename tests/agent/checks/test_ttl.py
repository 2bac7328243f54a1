from meshagent.agent.checks.probe import Outcome
from meshagent.agent.checks.ttl import TtlMachine


def test_silence_makes_it_critical_once(golden_output):
    """K14, first golden answer of check `fast`."""
    ttl = TtlMachine(10.0, now=100.0)
    assert ttl.deadline == 110.0
    assert ttl.expire(109.9) is None
    assert ttl.expire(110.0) == Outcome("critical", golden_output("fast", 0))
    assert ttl.expire(120.0) is None
    assert ttl.deadline is None


def test_an_update_starts_the_ttl_again_also_after_expiry():
    ttl = TtlMachine(10.0, now=0.0)
    ttl.expire(10.0)
    assert ttl.update("warning", "hmm", 4096, now=15.0) == Outcome("warning", "hmm")
    assert ttl.expire(24.0) is None
    assert ttl.deadline == 25.0


def test_expiry_repeats_the_last_output(golden_output):
    ttl = TtlMachine(1.0, now=0.0)
    ttl.update("passing", "alive", 4096, now=0.5)
    assert ttl.expire(1.5) == Outcome("critical", golden_output("fast"))


def test_update_cuts_its_output(golden_output):
    ttl = TtlMachine(1.0, now=0.0)
    assert ttl.update("passing", "0123456789abcdefghij", 10, now=0.0).output == golden_output("lim")

"""For all tests: no test fails because the machine is busy, so generated examples have no deadline either."""

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

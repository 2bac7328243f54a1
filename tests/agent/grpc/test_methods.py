from __future__ import annotations

from collections import Counter

import pytest

from meshagent.agent.grpc.methods import DIALOGUE, STREAM, UNARY, Refused, Service
from meshagent.agent.grpc.table import SERVICES


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_each_row_is_whole(service: Service) -> None:
    assert service.methods
    assert service.name.rpartition(".")[0]
    for method in service.methods:
        assert method.kind in {UNARY, STREAM, DIALOGUE}
        assert 0 < method.max_message <= 64 * 1024 * 1024
    assert max(Counter(method.name for method in service.methods).values()) == 1


def test_no_service_is_there_twice() -> None:
    names = [service.name for service in SERVICES]
    assert len(names) == len(set(names))


def test_a_refusal_has_a_code_of_its_own() -> None:
    assert (Refused(16, "who are you?").code, str(Refused(16, "who are you?"))) == (16, "who are you?")

import pytest

from meshagent.agent.gossip.name_conflict import NameConflict, is_lost
from meshagent.agent.gossip.node import Node
from meshagent.agent.gossip.serf_codec import encode
from meshagent.agent.gossip.serf_messages import ConflictResponse
from meshagent.agent.gossip.serf_signals import NameLost, QueryEnded, QueryResult
from meshagent.machine import Command

US = Node("n", b"\x7f\0\0\1", 7)
FOR_US = encode(ConflictResponse("n", b"\x7f\0\0\1", 7))
FOR_OTHER = encode(ConflictResponse("n", b"\x7f\0\0\2", 7))
UNKNOWN = encode(ConflictResponse(known=False))


@pytest.mark.parametrize(
    ("answers", "lost"),
    [
        ([FOR_US], False),
        ([FOR_US, FOR_US, FOR_OTHER], False),
        ([FOR_US, FOR_OTHER], True),
        ([FOR_OTHER], True),
        ([FOR_US, UNKNOWN], True),
        ([b"junk"], True),
        ([], True),
    ],
)
def test_half_and_one_must_know_us(answers: list[bytes], lost: bool) -> None:
    responses = {str(number): answer for number, answer in enumerate(answers)}
    assert is_lost(US, QueryResult((), responses, len(answers))) is lost


def test_only_the_end_of_our_own_question_is_taken() -> None:
    conflict = NameConflict()
    other, ours = (QueryEnded(number, QueryResult((), {"x": FOR_OTHER}, 1)) for number in (3, 4))
    out: list[Command] = [other, ours]
    conflict.settle(out, US)
    assert out == [other, ours]
    conflict.asking = 4
    conflict.settle(out, US)
    assert out == [other, NameLost()]
    assert not conflict.asking

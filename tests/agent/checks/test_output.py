from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.checks.output import Tail, cut_head, effective_max_size


def test_ttl_output_keeps_the_head_as_consul_shows_it(golden_output):
    """K5, golden checks `lim` and `big`."""
    assert cut_head("0123456789abcdefghij", 10) == golden_output("lim")
    assert cut_head("y" * 5000, 4096) == golden_output("big")


def test_script_output_keeps_the_tail_as_consul_shows_it(golden_output):
    """K5, golden check `many`."""
    tail = Tail(8)
    for piece in (b"0123456789", b"ABCDEF", b"GHIJ"):
        tail.append(piece)
    assert tail.captured() == golden_output("many")


def test_output_at_the_limit_is_whole():
    assert cut_head("é" * 5, 10) == "é" * 5
    assert cut_head("é" * 5, 9) == "éééé\ufffd ... (captured 9 of 10 bytes)"
    tail = Tail(4)
    tail.append(b"abcd")
    assert tail.captured() == "abcd"


def test_no_output_is_empty():
    assert Tail(10).captured() == ""
    assert cut_head("", 10) == ""


def test_a_check_may_lower_the_agents_limit_but_not_raise_it():
    assert effective_max_size(4096, 0) == 4096
    assert effective_max_size(4096, 100) == 100
    assert effective_max_size(4096, 8192) == 4096
    assert effective_max_size(0, 0) == 4096


@given(st.lists(st.binary(max_size=20)), st.integers(1, 30))
def test_tail_is_the_end_of_the_stream_however_it_is_sliced(pieces, size):
    tail = Tail(size)
    for piece in pieces:
        tail.append(piece)
    whole = b"".join(pieces)
    assert tail.bytes() == whole[-size:]
    assert tail.total == len(whole)


@given(st.text(), st.integers(1, 50))
def test_cut_head_never_keeps_more_than_it_says(text, size):
    shown = cut_head(text, size)
    raw = text.encode("utf-8", "replace")
    if len(raw) <= size:
        assert shown == text
    else:
        assert shown == f"{raw[:size].decode('utf-8', 'replace')} ... (captured {size} of {len(raw)} bytes)"


def test_a_long_stream_of_small_pieces_holds_little_memory():
    tail = Tail(4096)
    for _ in range(100_000):
        tail.append(b"x")
    assert tail._held <= 2 * 4096
    assert len(tail._pieces) <= 65

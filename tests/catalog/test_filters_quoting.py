import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.catalog.filters_quoting import quote, unescape


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("a", '"a"'),
        ('a"\\', '"a\\"\\\\"'),
        ("\n\x00\x7f", '"\\n\\x00\\x7f"'),
        ("é\u200b\U000e0001", '"é\\u200b\\U000e0001"'),
    ],
)
def test_quote_writes_as_go(text: str, quoted: str) -> None:
    assert quote(text) == quoted


@pytest.mark.parametrize("text", ["\\", "\\q", "\\'", "\\x4", "\\08", "\\400", "\\ud800", "\\U00110000", "a\nb", 'a"b'])
def test_malformed_insides_are_refused(text: str) -> None:
    assert unescape(text) is None


@given(st.text())
def test_unescape_reads_what_quote_writes(text: str) -> None:
    assert unescape(quote(text)[1:-1]) == text

import pytest

from meshagent.agent.cli.output import columns, show_table, tabbed

ROWS = [["Node", "ID"], ["a-long-name", "1"], ["b", ""]]


def test_columns_are_aligned_with_two_spaces() -> None:
    assert columns(ROWS) == "Node         ID\na-long-name  1\nb            "


def test_tabbed_pads_to_the_widest_and_six_more() -> None:
    assert tabbed([("a", "1"), ("bbb", "2")]) == "a        1\nbbb      2"


def test_scripts_get_plain_columns_and_people_a_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    show_table(ROWS)
    assert capsys.readouterr().out == columns(ROWS) + "\n"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    show_table([["Check", "Status"], ["c1", "critical"]])
    out = capsys.readouterr().out
    assert "\x1b[" in out
    assert "critical" in out
    monkeypatch.setenv("NO_COLOR", "1")
    show_table(ROWS)
    assert "\x1b[" not in capsys.readouterr().out

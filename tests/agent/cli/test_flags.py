import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.cli.go_flags import HelpWanted, UsageProblem, read_flags

KNOWN = {"name": False, "on": True}


@pytest.mark.parametrize(
    ("words", "flags", "rest"),
    [
        ("", [], []),
        ("-name x -on y", [("name", "x"), ("on", "true")], ["y"]),
        ("--name=x --on=false", [("name", "x"), ("on", "false")], []),
        ("-name=a=b", [("name", "a=b")], []),
        ("-name= z", [("name", "")], ["z"]),
        ("-name -on", [("name", "-on")], []),
        ("key -5 -on", [], ["key", "-5", "-on"]),
        ("-on -- -name x", [("on", "true")], ["-name", "x"]),
        ("- -on", [], ["-", "-on"]),
        ("-on=F -on=1", [("on", "false"), ("on", "true")], []),
    ],
)
def test_flags_are_read_as_by_go(words: str, flags: list[tuple[str, str]], rest: list[str]) -> None:
    assert read_flags(words.split(), KNOWN) == (flags, rest)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("-zork", "flag provided but not defined: -zork"),
        ("--zork=1", "flag provided but not defined: -zork"),
        ("-name", "flag needs an argument: -name"),
        ("-on=maybe", 'invalid boolean value "maybe" for -on: parse error'),
        ("---on", "bad flag syntax: ---on"),
        ("-=x", "bad flag syntax: -=x"),
    ],
)
def test_bad_flags_are_refused_in_gos_words(words: str, message: str) -> None:
    with pytest.raises(UsageProblem) as caught:
        read_flags(words.split(), KNOWN)
    assert str(caught.value) == message


@pytest.mark.parametrize("word", ["-h", "-help", "--help"])
def test_help_is_always_known(word: str) -> None:
    with pytest.raises(HelpWanted):
        read_flags([word], KNOWN)


@given(st.lists(st.text(alphabet="-=nameoh x", max_size=6), max_size=5))
def test_any_words_are_read_or_refused(words: list[str]) -> None:
    try:
        flags, rest = read_flags(words, KNOWN)
    except (UsageProblem, HelpWanted):
        return
    assert set(dict(flags)) <= set(KNOWN)
    assert rest == words[len(words) - len(rest) :]

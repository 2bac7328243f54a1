from __future__ import annotations

import pytest

from meshagent.agent.config.option import Group, duration, group, switch, text, whole


class Inner(Group):
    """Inside."""

    token: str = text("", "What nobody may see.", secret=True)
    wait: float = duration(1.0, "How long.")


class Outer(Group):
    """Outside."""

    on: bool = switch(False, "Whether.")
    count: int = whole(3, "How many.", former=("number",))
    inner: Inner = group(Inner, "More.")


def test_a_group_has_its_defaults_and_takes_values_by_name() -> None:
    assert (Outer().on, Outer().count, Outer().inner.wait) == (False, 3, 1.0)
    assert Outer(count=5).count == 5
    with pytest.raises(TypeError, match="Outer has no option nmae"):
        Outer(nmae=1)


def test_a_group_is_frozen_and_replace_gives_a_copy() -> None:
    outer = Outer()
    with pytest.raises(AttributeError, match="frozen"):
        outer.count = 4
    assert outer.replace(count=4) == Outer(count=4)
    assert outer.count == 3
    assert outer != Inner()


def test_a_group_shows_what_is_not_default_and_hides_secrets() -> None:
    assert repr(Outer()) == "Outer()"
    assert repr(Outer(count=4, inner=Inner(token="s3cret"))) == "Outer(count=4, inner=Inner(token='hidden'))"


def test_options_are_listed_by_full_key() -> None:
    assert [(key, option.kind) for key, option in Outer.every_option()] == [
        ("on", "bool"),
        ("count", "int"),
        ("inner.token", "string"),
        ("inner.wait", "duration"),
    ]

import click
import pytest

from meshagent.agent.cli.versions import author_of, chosen


@pytest.mark.parametrize(
    ("accessor", "description", "agent", "shown"),
    [("a", "ci", "n1", "ci at n1"), ("a", "", "n1", "a at n1"), ("", "", "n1", "n1"), ("", "", "", "-")],
)
def test_an_author_is_the_token_and_where_it_was_used(accessor: str, description: str, agent: str, shown: str) -> None:
    assert author_of({"AccessorID": accessor, "TokenDescription": description, "Agent": agent}) == shown


def test_a_version_that_is_not_kept_is_refused_with_those_that_are() -> None:
    assert chosen([{"Version": 2}, {"Version": 4}], 4, "k") == {"Version": 4}
    with pytest.raises(click.ClickException, match="there are 2, 4"):
        chosen([{"Version": 2}, {"Version": 4}], 3, "k")

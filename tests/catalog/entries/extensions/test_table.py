"""The table of extensions."""

import pytest

from meshagent.catalog.entries.extensions.arguments import read
from meshagent.catalog.entries.extensions.table import EXTENSIONS


@pytest.mark.parametrize("name", sorted(EXTENSIONS))
def test_each_wants_something(name: str) -> None:
    assert read({}, EXTENSIONS[name]).problems()

"""Names of extensions that concern callers."""

from meshagent.catalog.entries.extensions.names import OF_A_SERVICE
from meshagent.catalog.entries.extensions.table import EXTENSIONS


def test_they_are_extensions() -> None:
    assert set(EXTENSIONS) >= OF_A_SERVICE

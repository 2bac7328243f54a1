"""What is read when an entry is written does something when an Envoy is told."""

from meshagent.catalog.entries.extensions.names import OF_A_SERVICE
from meshagent.catalog.entries.extensions.table import EXTENSIONS
from meshagent.connect.envoy.extensions import table


def test_every_extension_does_something() -> None:
    assert set(EXTENSIONS) == set(table.OF_THE_PROXY) | set(table.OF_A_SERVICE)
    assert set(table.OF_A_SERVICE) == OF_A_SERVICE

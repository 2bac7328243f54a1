"""Names of extensions that concern callers."""

from meshagent.catalog.entries.extensions.names import OF_A_SERVICE, of_a_service
from meshagent.catalog.entries.extensions.table import EXTENSIONS
from meshagent.catalog.model import EnvoyExtension


def test_they_are_extensions() -> None:
    assert set(EXTENSIONS) >= OF_A_SERVICE


def test_they_are_picked_out() -> None:
    own, others = EnvoyExtension(name="builtin/lua"), EnvoyExtension(name="builtin/aws/lambda")
    assert of_a_service((own, others)) == (others,)

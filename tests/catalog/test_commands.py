"""Commands: their numbers are for ever."""

import pytest

from meshagent.catalog import commands
from meshagent.catalog.store import _APPLY
from meshagent.errors import CorruptData

TAGS = {
    "Register": 1,
    "Deregister": 2,
    "KVSet": 10,
    "KVCas": 11,
    "KVDelete": 12,
    "KVDeleteCas": 13,
    "KVDeleteTree": 14,
    "KVLock": 15,
    "KVUnlock": 16,
    "CoordinateBatch": 20,
    "ReapTombstones": 30,
}


def test_numbers_never_change():
    """A released tag stands in logs on disk. This table may only grow."""
    found = {kind.__name__: kind.__struct_config__.tag for kind in _APPLY}
    assert {name: found[name] for name in TAGS} == TAGS
    assert len(set(found.values())) == len(found)


def test_every_command_is_applied_by_a_row():
    assert set(_APPLY) == set(commands.Command.__args__)


def test_a_command_of_a_later_release_is_named_as_such():
    with pytest.raises(CorruptData, match="later release"):
        commands.decode(b"\x92\xcd\x03\xe8\x01")

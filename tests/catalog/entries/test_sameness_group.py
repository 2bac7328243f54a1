"""Enterprise's kind (surface row M37) is refused when written."""

from meshtest.config_entries import write

from meshagent.catalog.store import Store


def test_it_is_refused() -> None:
    raw = {"Kind": "sameness-group", "Name": "sg", "Members": [{"Peer": "a"}]}
    assert write(Store(), raw) == "sameness-groups are an enterprise-only feature"

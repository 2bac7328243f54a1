"""Arguments of `builtin/lua`; the recorded refusals are in the replay of config-entry-errors.json."""

from meshagent.catalog.entries.extensions.lua import Lua


def test_what_is_wrong() -> None:
    assert Lua(listener="outbound", script="x", proxy_type="").problems() == []
    assert Lua(listener="inbound", script="x", proxy_type="api-gateway").problems() == []
    assert Lua(proxy_type="mesh-gateway").problems() == [
        "missing Script value",
        'unexpected ProxyType "mesh-gateway"',
        'unexpected Listener ""',
    ]

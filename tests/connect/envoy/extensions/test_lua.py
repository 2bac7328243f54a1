"""`builtin/lua`; with others it is in the replay of extensions.json."""

from meshtest.extending import extended, http_filters_of, the_manager


def test_the_script_runs_before_the_router() -> None:
    found = extended("builtin/lua", {"Listener": "outbound", "Script": "function f() end"})
    assert http_filters_of(found, "api:")[-2:] == ["lua", "router"]
    assert "lua" not in http_filters_of(found, "public_listener")
    code = the_manager(found, "api:")["http_filters"][-2]["typed_config"]["default_source_code"]
    assert code == {"inline_string": "function f() end"}


def test_a_service_that_speaks_tcp_has_none() -> None:
    found = extended("builtin/lua", {"Listener": "inbound", "Script": "x"}, protocol="tcp")
    assert "lua" not in repr(found.listeners)

"""Entries that lean on each other (surface rows CF1, CF4, M26-M30; texts of the golden scenarios)."""

from __future__ import annotations

from meshtest.config_entries import http_store, remove, write


def test_a_provider_in_use_stays() -> None:
    store = http_store()
    keys = {"JSONWebKeySet": {"Remote": {"URI": "https://x/k"}}}
    assert write(store, {"Kind": "jwt-provider", "Name": "okta", **keys}) == ""
    intention = {"Kind": "service-intentions", "Name": "db", "Sources": [{"Name": "a", "Action": "allow"}]}
    assert write(store, {**intention, "JWT": {"Providers": [{"Name": "okta"}]}}) == ""
    assert remove(store, "jwt-provider", "okta") == (
        "cannot delete jwt provider config entry referenced by an intention. Provider name: okta, intention name: db"
    )
    assert remove(store, "service-intentions", "db") == ""
    assert remove(store, "jwt-provider", "okta") == ""


def test_l7_permissions_keep_their_protocol() -> None:
    store = http_store()
    permissions = [{"Action": "allow", "HTTP": {"PathExact": "/"}}]
    sources = [{"Name": "a", "Permissions": permissions}]
    assert write(store, {"Kind": "service-intentions", "Name": "web", "Sources": sources}) == ""
    assert remove(store, "service-defaults", "web") == (
        'service "web" has protocol "tcp", which is incompatible with L7 intentions permissions'
    )


def test_a_listener_and_its_services_agree() -> None:
    store = http_store()
    listener = {"Port": 1, "Protocol": "http", "Services": [{"Name": "web"}]}
    assert write(store, {"Kind": "ingress-gateway", "Name": "g", "Listeners": [listener]}) == ""
    wrong = 'service "web" has protocol "tcp", which does not match defined listener protocol "http"'
    assert remove(store, "service-defaults", "web") == wrong
    assert write(store, {"Kind": "service-defaults", "Name": "web"}) == wrong


def test_a_tcp_listener_takes_what_becomes_http_later() -> None:
    store = http_store()
    listener = {"Port": 1, "Protocol": "tcp", "Services": [{"Name": "later"}]}
    assert write(store, {"Kind": "ingress-gateway", "Name": "g", "Listeners": [listener]}) == ""
    assert write(store, {"Kind": "service-defaults", "Name": "later", "Protocol": "http"}) == ""
    router = {"Kind": "service-router", "Name": "later"}
    assert "does not match defined listener protocol" in write(store, router)


def test_what_peers_see_stays_in_the_datacenter() -> None:
    store = http_store()
    services = [{"Name": "far", "Consumers": [{"Peer": "p"}]}]
    export = {"Kind": "exported-services", "Name": "default", "Services": services}
    redirect = {"Kind": "service-resolver", "Name": "far", "Redirect": {"Datacenter": "dc2"}}
    wrong = 'peer exported service "far" contains cross-datacenter resolver redirect'
    assert write(store, redirect) == ""
    assert write(store, export) == wrong
    assert remove(store, "service-resolver", "far") == ""
    assert write(store, export) == ""
    assert write(store, redirect) == wrong


def test_permissive_needs_the_mesh_to_allow_it() -> None:
    store = http_store()
    raw = {"Kind": "proxy-defaults", "Name": "global", "MutualTLSMode": "permissive"}
    assert "AllowEnablingPermissiveMutualTLS=false" in write(store, raw)
    assert write(store, {"Kind": "mesh", "AllowEnablingPermissiveMutualTLS": True}) == ""
    assert write(store, raw) == ""

from __future__ import annotations

import pytest

from meshagent.agent.http import routes
from meshagent.agent.http.routes import Route, Router, load_routes


def row(path: str, method: str = "GET", suffix: str = "") -> Route:
    return Route(row="X1", method=method, path=path, suffix=suffix, summary="a test")


def test_exact_before_prefix_and_longest_prefix_first() -> None:
    router = Router([row("/v1/a/"), row("/v1/a/b"), row("/v1/a/c/")])
    found = [router.find(path) for path in ("/v1/a/b", "/v1/a/bb", "/v1/a/c/d/e", "/v1/a/")]
    assert [(f.methods["GET"].path, f.name) for f in found if f] == [
        ("/v1/a/b", ""), ("/v1/a/", "bb"), ("/v1/a/c/", "d/e"), ("/v1/a/", ""),
    ]  # fmt: skip
    assert router.find("/v1/b") is None
    assert router.find("") is None
    assert router.is_prefix("/v1/a/")
    assert not router.is_prefix("/v1/a/b")


def test_suffix_is_cut_from_the_name() -> None:
    router = Router([row("/v1/q/"), row("/v1/q/", suffix="/execute")])
    found = router.find("/v1/q/name/execute")
    assert found is not None
    assert (found.name, found.methods["GET"].suffix) == ("name", "/execute")
    bare = router.find("/v1/q//execute")
    assert bare is not None
    plain = router.find("/v1/q/execute")
    assert plain is not None
    assert (plain.name, plain.methods["GET"].suffix) == ("execute", "")


def test_c2_methods_keep_table_order() -> None:
    found = Router(load_routes()).find("/v1/operator/keyring")
    assert found is not None
    assert list(found.methods) == ["GET", "POST", "PUT", "DELETE"]


def test_duplicates_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"GET /v1/catalog/datacenters is in catalog and catalog"):
        load_routes(["catalog", "catalog"])


@pytest.mark.parametrize("route", load_routes(), ids=lambda route: f"{route.method} {route.path}{route.suffix}")
def test_every_row_is_complete(route: Route) -> None:
    assert route.path.startswith("/v1/")
    assert route.summary
    assert route.row
    assert not route.suffix or route.path.endswith("/")
    assert route.read is None or route.handle is None
    assert route.read is None or route.method in {"GET", "POST"}  # a question may have a body
    assert route.tenancy in {"", "both", "partition"}
    if route.built and not route.row.startswith("AC"):
        assert route.example.startswith("curl ")


def test_every_family_module_is_joined() -> None:
    names = routes.families()
    assert len(names) == len(set(names))
    assert {"catalog", "health", "kv", "status"} <= set(names)

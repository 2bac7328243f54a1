"""The web page's files (IN8); recorded redirects are replayed by tests/conformance (ui-and-guards)."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meshtest.httpapi import Api

from meshagent.agent.http.pages import Page, page
from meshagent.agent.http.settings import HttpSettings


def test_the_page_asks_for_files_that_are_there_and_for_nothing_else() -> None:
    index = page("", Page("/my-ui/", 'dc"1')).body.decode()
    assert 'content="dc&quot;1"' in index
    wanted = re.findall(r'(?:src|href)="([^"]+)"', index)
    assert wanted
    for address in wanted:
        found = page(address.removeprefix("/my-ui/"), Page("/my-ui/", "dc1"))
        assert (found.status, address.startswith("/my-ui/")) == (200, True)
        assert b"http://" not in found.body.replace(b"http://www.w3.org/2000/svg", b"")
        assert b"https://" not in found.body


def test_it_is_told_of_metrics_as_text() -> None:
    about = Page("/ui/", "dc1", metrics='{"provider":"a\\"<b>"}')
    assert b'content="{&quot;provider&quot;:&quot;a\\&quot;&lt;b&gt;&quot;}"' in page("", about).body


def test_scripts_of_the_user_come_as_one(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text("one()")
    (tmp_path / "b.js").write_text("two()")
    about = Page("/ui/", "dc1", scripts=(str(tmp_path / "a.js"), str(tmp_path / "none.js"), str(tmp_path / "b.js")))
    found = page("metrics-providers.js", about)
    assert found.content_type == "text/javascript; charset=utf-8"
    assert found.body.startswith(b"one()\n;\nconsole.error(") and found.body.endswith(b"\n;\ntwo()")
    assert page("metrics-providers.js", Page("/ui/", "dc1")).body == b""


def test_our_page_may_run_no_script_but_its_own() -> None:
    headers = dict(page("dc1/services", Page("/ui/", "dc1")).headers)
    policy = headers["Content-Security-Policy"]
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    sources = list((Path(__file__).parents[3] / "meshagent" / "agent" / "ui").glob("*.js"))
    assert len(sources) == 4
    for source in sources:
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", source.read_text())


def test_paths_within_the_page_get_the_page() -> None:
    for name in ("", "dc1/services", "dc1/kv/a.b/c", "dc1/services/web.js-api"):
        assert b"<title>meshagent</title>" in page(name, Page("/ui/", "dc1")).body
    assert page("app.map.js", Page("/ui/", "dc1")).status == 404


def test_files_of_a_directory_stand_in_for_ours(tmp_path: Path) -> None:
    folder = tmp_path / "ui"
    folder.mkdir()
    (tmp_path / "secret.js").write_text("secret")
    (folder / "index.html").write_text("mine {{path}}")
    (folder / "x.js").write_text("1")
    (folder / "out.js").symlink_to(tmp_path / "secret.js")
    assert page("", Page("/ui/", "dc1", str(folder))).body == b"mine /ui/"
    assert page("x.js", Page("/ui/", "dc1", str(folder))).body == b"1"
    for name in ("../secret.js", "out.js", "/etc/passwd", f"{tmp_path}/secret.js"):
        assert page(name, Page("/ui/", "dc1", str(folder))).body == b"mine /ui/"
    assert page("", Page("/ui/", "dc1", str(tmp_path / "none"))).status == 404


@given(st.text(max_size=40))
def test_no_name_leads_out_of_the_page(name: str) -> None:
    assert page(name, Page("/ui/", "dc1")).status in {200, 404}


@pytest.mark.parametrize(("method", "body"), [("GET", True), ("HEAD", False)])
async def test_it_is_served_where_it_is_switched_on(
    make_api: Callable[[HttpSettings], Awaitable[Api]], method: str, body: bool
) -> None:
    api = await make_api(HttpSettings(ui_enabled=True, ui_path="/my-ui/"))
    answer = await api.ask(method, "/my-ui/dc1/nodes")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert bool(answer.body) is body
    assert (await api.get("/robots.txt")).text.startswith("User-agent")
    assert (await api.ask("POST", "/my-ui/")).status == 404
    off = await make_api(HttpSettings())
    assert (await off.get("/ui/")).status == 404

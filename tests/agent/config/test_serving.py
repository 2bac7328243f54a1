from __future__ import annotations

from typing import Any

import pytest

from meshagent.agent.config.serving import AddHeader, DNSConfig


def test_a_reload_takes_all_of_dns() -> None:
    """G4."""
    assert [key for key, option in DNSConfig.every_option() if not option.reload] == []


def test_the_metrics_proxy_takes_headers(configure: Any) -> None:
    """G25."""
    proxy = configure(
        'ui_config { metrics_proxy { base_url = "http://p" add_headers = [{ name = "A" value = "b" }] } }'
    ).ui_config.metrics_proxy
    assert proxy.add_headers == (AddHeader(name="A", value="b"),)


@pytest.mark.parametrize(("given", "path"), [("/ui/", "/ui/"), ("mesh", "/mesh/"), ("/a/b", "/a/b/"), ("/", "/")])
def test_the_path_of_the_ui_has_a_slash_on_both_ends(configure: Any, given: str, path: str) -> None:
    assert configure(f'ui_config {{ content_path = "{given}" }}').ui_config.content_path == path


def test_headers_of_answers_merge(configure: Any) -> None:
    config = configure('http_config { response_headers { A = "1" B = "1" } }', 'http_api_response_headers { B = "2" }')
    assert config.http_config.response_headers == {"A": "1", "B": "2"}

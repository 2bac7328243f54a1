"""`service-router` (surface row M23): every golden write, and what those do not show."""

from __future__ import annotations

from typing import Any

import pytest
from meshtest.config_entries import golden, http_store, write

from meshagent.catalog.entries.table import parse


@golden("service-router")
def test_it_answers_as_consul(raw: dict[str, Any], error: str) -> None:
    assert write(http_store(), raw) == error


def test_it_names_the_services_it_leads_to() -> None:
    entry = parse({"Kind": "service-router", "Name": "a", "Routes": [{"Destination": {"Service": "b"}}, {}]})
    assert entry.related() == {"b"}


def redirect(match: dict[str, Any] | None = None, beside: dict[str, Any] | None = None, **parts: Any) -> str:
    """What is said of a route with this redirect."""
    to = {"Destination": {"Redirect": parts, **(beside or {})}}
    route = {"Match": {"HTTP": match}, **to} if match is not None else to
    return write(http_store(), {"Kind": "service-router", "Name": "web", "Routes": [route]})


class TestRedirects:
    """Ours."""

    @pytest.mark.parametrize(
        "parts",
        [
            {"SchemeRedirect": "https"},
            {"HostRedirect": "api.example.com", "PortRedirect": 8443, "ResponseCode": 308},
            {"HostRedirect": "[2001:db8::1]"},
            {"PathRedirect": "/new?x=1", "StripQuery": True},
            {"StripQuery": True},
        ],
    )
    def test_are_taken(self, parts: dict[str, Any]) -> None:
        assert redirect(**parts) == ""

    @pytest.mark.parametrize(
        ("parts", "words"),
        [
            ({}, "changes nothing"),
            ({"ResponseCode": 302}, "changes nothing"),
            ({"SchemeRedirect": "ftp"}, "Redirect.SchemeRedirect must be http or https"),
            ({"HostRedirect": "a/b"}, "Redirect.HostRedirect is not a host name"),
            ({"HostRedirect": "a:80"}, "Redirect.HostRedirect is not a host name"),
            ({"HostRedirect": "a\r\nX: y"}, "Redirect.HostRedirect is not a host name"),
            ({"PortRedirect": 65536}, "Redirect.PortRedirect must be between 1 and 65535"),
            ({"PortRedirect": -1}, "Redirect.PortRedirect must be between 1 and 65535"),
            ({"PathRedirect": "new"}, "Redirect.PathRedirect must start with '/'"),
            ({"PathRedirect": "/a b"}, "Redirect.PathRedirect must start with '/'"),
            ({"PathRedirect": "/a", "PrefixRewrite": "/b"}, "only contain one of PathRedirect or PrefixRewrite"),
            ({"PrefixRewrite": "/b"}, "without configuring either PathExact or PathPrefix"),
            ({"PathRedirect": "/a", "ResponseCode": 200}, "Redirect.ResponseCode must be one of"),
        ],
    )
    def test_name_what_is_wrong(self, parts: dict[str, Any], words: str) -> None:
        said = redirect(**parts)
        assert "Route[0]" in said
        assert words in said

    def test_send_nothing_on(self) -> None:
        headers = {"ResponseHeaders": {"Set": {"X-Why": "moved"}}}
        assert redirect(beside=headers, PathRedirect="/a") == ""
        for beside in ({"Service": "b"}, {"NumRetries": 1}, {"RequestTimeout": "1s"}, {"PrefixRewrite": "/"}):
            assert "cannot be combined with other fields" in redirect(beside=beside, PathRedirect="/a")
        assert redirect({"PathPrefix": "/old/"}, PrefixRewrite="/new/") == ""

"""Permissions by request (surface rows M26, M51)."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from meshagent.catalog.entries.service_intentions import (
    IntentionJWT,
    JWTProviderRef,
    Permission,
    PermissionHTTP,
    ServiceIntentions,
)
from meshagent.catalog.entries.table import parse
from meshagent.connect.intentions import Default, Intention, of_entries
from meshagent.connect.permissions import HttpRequest, decide_request


def intentions(*permissions: dict[str, Any]) -> Any:
    made = parse(
        {
            "Kind": "service-intentions",
            "Name": "api",
            "Sources": [{"Name": "web", "Permissions": list(permissions)}, {"Name": "cron", "Action": "allow"}],
        }
    )
    assert isinstance(made, ServiceIntentions)
    assert made.problem() == ""
    return of_entries([made])


def allowed(http: dict[str, Any], request: HttpRequest) -> bool:
    found = intentions({"Action": "allow", "HTTP": http})
    return decide_request(found, "web", "api", request, Default(False)).allowed


@pytest.mark.parametrize(
    ("http", "path", "expected"),
    [
        ({"PathExact": "/a"}, "/a", True),
        ({"PathExact": "/a"}, "/a/", False),
        ({"PathPrefix": "/a"}, "/abc", True),
        ({"PathPrefix": "/a"}, "/b/a", False),
        ({"PathRegex": "/v[0-9]+"}, "/v12", True),
        ({"PathRegex": "/v[0-9]+"}, "/v12/x", False),
        ({"PathRegex": "("}, "/", False),
    ],
)
def test_paths(http: dict[str, Any], path: str, expected: bool) -> None:
    assert allowed(http, HttpRequest(path=path)) is expected


def test_methods() -> None:
    assert allowed({"Methods": ["GET", "PUT"]}, HttpRequest("PUT"))
    assert not allowed({"Methods": ["GET", "PUT"]}, HttpRequest("POST"))


@pytest.mark.parametrize(
    ("header", "value", "expected"),
    [
        ({"Present": True}, "x", True),
        ({"Present": True}, None, False),
        ({"Present": True, "Invert": True}, None, True),
        ({"Present": True, "Invert": True}, "x", False),
        ({"Exact": "Abc"}, "Abc", True),
        ({"Exact": "Abc"}, "abc", False),
        ({"Exact": "Abc", "IgnoreCase": True}, "aBC", True),
        ({"Prefix": "a"}, "abc", True),
        ({"Suffix": "c"}, "abc", True),
        ({"Contains": "b"}, "abc", True),
        ({"Contains": "B", "IgnoreCase": True}, "abc", True),
        ({"Contains": "x", "Invert": True}, "abc", True),
        ({"Regex": "a.c"}, "abc", True),
        ({"Regex": "a.c"}, "abcd", False),
        ({"Exact": "a"}, None, False),
        ({"Exact": "a", "Invert": True}, None, False),
        ({"Exact": "b"}, ("a", "b"), True),
        ({"Exact": "a,b"}, ("a", "b"), False),
        ({"Exact": "b", "Invert": True}, ("a", "b"), False),
        ({"Regex": "A", "IgnoreCase": True}, "a", False),
        ({"Exact": "\u00c9", "IgnoreCase": True}, "\u00e9", False),
    ],
)
def test_headers(header: dict[str, Any], value: str | tuple[str, ...] | None, expected: bool) -> None:
    headers: dict[str, str | tuple[str, ...]] = {} if value is None else {"x-what": value}
    assert allowed({"Header": [{"Name": "X-What", **header}]}, HttpRequest(headers=headers)) is expected


def test_all_conditions_must_hold() -> None:
    http = {"PathPrefix": "/a", "Methods": ["GET"], "Header": [{"Name": "x", "Present": True}]}
    assert allowed(http, HttpRequest("GET", "/a", {"x": "1"}))
    assert not allowed(http, HttpRequest("GET", "/a"))
    assert not allowed(http, HttpRequest("GET", "/b", {"x": "1"}))


def test_the_first_that_matches_decides_and_the_reason_says_which() -> None:
    found = intentions(
        {"Action": "deny", "HTTP": {"PathExact": "/admin"}},
        {"Action": "allow", "HTTP": {"PathPrefix": "/"}, "JWT": {"Providers": [{"Name": "okta"}]}},
    )
    denied = decide_request(found, "web", "api", HttpRequest(path="/admin"), Default(True))
    assert not denied.allowed
    assert denied.reason == (
        "Matched L7 intention: default/web => default/api (Precedence: 9, Permissions: 2): "
        "Permissions[0] matches (Action: DENY)"
    )
    good = decide_request(found, "web", "api", HttpRequest(path="/x"), Default(False))
    assert good.allowed
    assert good.reason.endswith("Permissions[1] matches (Action: ALLOW, with a token of okta)")


def test_where_none_matches_the_default_holds() -> None:
    found = intentions({"Action": "allow", "HTTP": {"PathExact": "/x"}})
    for allow in (True, False):
        decision = decide_request(found, "web", "api", HttpRequest(path="/y"), Default(allow))
        assert decision.allowed is allow
        assert decision.reason.endswith("no permission matches, Default behavior configured by ACLs")
    assert decide_request(found, "cron", "api", HttpRequest(), Default(False)).allowed


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_expression_and_path_have_an_answer(pattern: str, path: str) -> None:
    assert allowed({"PathRegex": pattern or "a"}, HttpRequest(path=path)) in {True, False}


class TestTokens:
    """What asks for a token and has none does not allow, whatever the default."""

    JWT = IntentionJWT(providers=(JWTProviderRef(name="idp"),))
    OTHER = IntentionJWT(providers=(JWTProviderRef(name="other"),))

    def decided(self, one: Intention, good: str = "", default: bool = True) -> bool:
        def tokens(required: IntentionJWT) -> bool:
            return any(ref.name == good for ref in required.providers)

        return decide_request([one], "web", "api", HttpRequest(), Default(default), "", tokens).allowed

    def test_of_a_whole_intention(self) -> None:
        one = Intention("web", "api", "allow", 9, jwt=self.JWT)
        assert self.decided(one, "idp")
        assert not self.decided(one)
        assert not self.decided(Intention("web", "api", "deny", 9, jwt=self.JWT), "idp")

    def test_the_first_permission_that_matches_is_the_only_one_that_is_asked(self) -> None:
        http = PermissionHTTP(path_prefix="/")
        permissions = tuple(Permission(action="allow", http=http, jwt=jwt) for jwt in (self.JWT, self.OTHER))
        one = Intention("web", "api", "", 9, permissions)
        assert self.decided(one, "idp")
        for default in (True, False):
            assert not self.decided(one, "other", default)
            assert not self.decided(one, default=default)

    def test_a_denial_of_who_has_one_leaves_the_others_to_the_default(self) -> None:
        http = PermissionHTTP(path_prefix="/")
        denied = Permission(action="deny", http=http, jwt=self.JWT)
        one = Intention("web", "api", "", 9, (denied, Permission(action="allow", http=http)))
        assert not self.decided(one, default=False)

    def test_a_denial_that_asks_for_one(self) -> None:
        denied = Permission(action="deny", http=PermissionHTTP(path_prefix="/"), jwt=self.JWT)
        one = Intention("web", "api", "", 9, (denied,))
        assert not self.decided(one, "idp")
        assert self.decided(one)

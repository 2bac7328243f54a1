"""What Envoy would decide: an evaluator of the matchers, RBAC rules and routes that we render. Pure.

It reads only what `connect/envoy` writes and refuses anything else, so a field that nobody has thought through fails a
test. Watched at Envoy 1.40: of several headers of one name each is compared by itself; an absent header fulfils nothing
but `present_match` with `invert_match`; expressions match the whole value; case of letters beyond ASCII is kept.

Source: envoyproxy.io API v3: RBAC, HeaderMatcher, StringMatcher, MetadataMatcher, RouteMatch, RouteAction.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import re2

__all__ = ["Asked", "edited", "forwarded", "rbac_allows", "route_of", "shares"]


@dataclass(frozen=True)
class Asked:
    """A request. `path` may have a query; headers in their order, names in lower case; `tokens` are claims by provider
    of good tokens; `uri` is of the verified certificate."""

    uri: str = ""
    method: str = "GET"
    path: str = "/"
    headers: tuple[tuple[str, str], ...] = ()
    tokens: dict[str, dict[str, Any]] = field(default_factory=dict)
    authority: str = "api"


def rbac_allows(rules: dict[str, Any], asked: Asked) -> bool:
    """Whether the filter with these `rules` lets a request (or, for the network filter, a connection) through."""
    assert set(rules) <= {"action", "policies"}, rules
    hit = any(
        any(_rule(one, asked) for one in policy["permissions"])
        and any(_rule(one, asked) for one in policy["principals"])
        for policy in rules.get("policies", {}).values()
    )
    return not hit if rules.get("action") == "DENY" else hit


def _rule(rule: dict[str, Any], asked: Asked) -> bool:
    ((kind, value),) = rule.items()
    match kind:
        case "any":
            return bool(value)
        case "and_ids" | "and_rules":
            return all(_rule(one, asked) for one in value[kind.removeprefix("and_")])
        case "or_ids" | "or_rules":
            return any(_rule(one, asked) for one in value[kind.removeprefix("or_")])
        case "not_id" | "not_rule":
            return not _rule(value, asked)
        case "authenticated":
            return _text(value["principal_name"], asked.uri)
        case "url_path":
            return _text(value["path"], asked.path.partition("?")[0])
        case "header":
            return _header(value, asked)
        case "metadata":
            return _metadata(value, asked)
    raise AssertionError(f"no such rule: {kind}")


def _text(matcher: dict[str, Any], value: str) -> bool:
    (way,) = set(matcher) - {"ignore_case"}
    wanted = matcher[way]
    if way == "safe_regex":
        assert "ignore_case" not in matcher
        return re2.fullmatch(wanted["regex"], value) is not None
    if matcher.get("ignore_case"):
        value, wanted = _lower(value), _lower(wanted)
    return {
        "exact": value == wanted,
        "prefix": value.startswith(wanted),
        "suffix": value.endswith(wanted),
        "contains": wanted in value,
    }[way]


def _lower(text: str) -> str:
    return text.encode().lower().decode()


def _values(asked: Asked, name: str) -> list[str]:
    first = {":method": asked.method, ":path": asked.path, ":authority": asked.authority, "host": asked.authority}
    if name.lower() in first:
        return [first[name.lower()]]
    return [value for key, value in asked.headers if key == name.lower()]


def _header(matcher: dict[str, Any], asked: Asked) -> bool:
    assert set(matcher) <= {"name", "present_match", "string_match", "invert_match"}, matcher
    values = _values(asked, matcher["name"])
    invert = matcher.get("invert_match", False)
    if matcher.get("present_match"):
        return bool(values) != invert
    return bool(values) and any(_text(matcher["string_match"], one) for one in values) != invert


def _metadata(matcher: dict[str, Any], asked: Asked) -> bool:
    assert matcher["filter"] == "envoy.filters.http.jwt_authn"
    found: Any = {f"jwt_payload_{name}": claims for name, claims in asked.tokens.items()}
    for step in matcher["path"]:
        if not isinstance(found, dict) or step["key"] not in found:
            return False
        found = found[step["key"]]
    return isinstance(found, str) and _text(matcher["value"]["string_match"], found)


def route_of(routes: list[dict[str, Any]], asked: Asked) -> dict[str, Any] | None:
    """The first of some routes that is for a request."""
    return next((one for one in routes if _route_fits(one["match"], asked)), None)


def _route_fits(match: dict[str, Any], asked: Asked) -> bool:
    assert set(match) <= {"prefix", "path", "safe_regex", "case_sensitive", "headers", "query_parameters"}, match
    path = asked.path.partition("?")[0]
    (way,) = set(match) & {"prefix", "path", "safe_regex"}
    if way == "safe_regex":
        fits = re2.fullmatch(match[way]["regex"], path) is not None
    else:
        wanted = match[way]
        if not match.get("case_sensitive", True):
            path, wanted = _lower(path), _lower(wanted)
        fits = path == wanted if way == "path" else path.startswith(wanted)
    return (
        fits
        and all(_header(one, asked) for one in match.get("headers", ()))
        and all(_parameter(one, asked) for one in match.get("query_parameters", ()))
    )


def _parameter(matcher: dict[str, Any], asked: Asked) -> bool:
    pairs = [part.partition("=") for part in asked.path.partition("?")[2].split("&") if part]
    value = next((value for name, _, value in pairs if name == matcher["name"]), None)
    if value is None:
        return False
    return bool(matcher.get("present_match")) or _text(matcher["string_match"], value)


def shares(route: dict[str, Any]) -> list[tuple[str, float, dict[str, Any]]]:
    """(cluster, share of 0..1, the weighted cluster's own fields) of a route that forwards."""
    action = route["route"]
    if "cluster" in action:
        return [(action["cluster"], 1.0, {})]
    given = action["weighted_clusters"]["clusters"]
    total = sum(one["weight"] for one in given)
    return [(one["name"], one["weight"] / total, one) for one in given if one["weight"]]


def forwarded(asked: Asked, route: dict[str, Any], cluster: dict[str, Any]) -> Asked:
    """A request as it goes to the cluster: the cluster's changes before the route's."""
    headers = list(asked.headers)
    for level in (cluster, route):
        headers = edited(headers, level, "request")
    action = route["route"]
    authority = action.get("host_rewrite_literal") or cluster.get("host_rewrite_literal") or asked.authority
    path = asked.path
    if "prefix_rewrite" in action:
        matched = route["match"].get("prefix", route["match"].get("path", ""))
        path = action["prefix_rewrite"] + path[len(matched) :]
    return Asked(asked.uri, asked.method, path, tuple(headers), asked.tokens, authority)


def edited(headers: list[tuple[str, str]], level: dict[str, Any], way: str) -> list[tuple[str, str]]:
    """Headers after the changes of one level: removed first, then added or set in order."""
    gone = {name.lower() for name in level.get(f"{way}_headers_to_remove", ())}
    found = [one for one in headers if one[0] not in gone]
    for one in level.get(f"{way}_headers_to_add", ()):
        name, value = one["header"]["key"].lower(), one["header"]["value"].replace("%%", "%")
        assert name != "host"
        if one.get("append_action") == "OVERWRITE_IF_EXISTS_OR_ADD":
            found = [kept for kept in found if kept[0] != name]
        found.append((name, value))
    return found

"""Which requests a route is for: path, headers, query parameters and methods of a `service-router`. Pure.

A route's conditions are made into one function when the routes are put together; a request only calls it. Of several
headers of one name it is enough that one fits; one that is not there fulfils only "not present". Regular expressions
are RE2, match the whole value, and heed case always. `connect/envoy/routes.py` renders the same.

Source: surface row M23; Envoy's RouteMatch, HeaderMatcher and QueryParameterMatcher. What may change here: further
conditions.
"""

from __future__ import annotations

from collections.abc import Callable

from meshagent.catalog.entries.service_router import HTTPMatch
from meshagent.connect.proxy.http.messages import Headers, RequestHead

__all__ = ["Matcher", "header_value", "matcher", "query_value"]

#: (the path without its query, the head) -> whether it fits.
Matcher = Callable[[bytes, RequestHead], bool]
_Test = Callable[[bytes], bool]


def matcher(match: HTTPMatch | None) -> Matcher | None:
    """The conditions as one function, None when everything fits."""
    if match is None:
        return None
    conditions: list[Matcher] = []
    path = _path(match)
    if path is not None:
        conditions.append(path)
    if match.methods:
        conditions.append(_methods(frozenset(one.encode() for one in match.methods)))
    for header in match.header:
        ways = (header.exact, header.prefix, header.suffix, header.regex)
        test = None if header.present else _test(*ways)
        conditions.append(_header(header.name.lower().encode(), test, header.invert))
    for query in match.query_param:
        test = None if query.present else _test(query.exact, "", "", query.regex)
        conditions.append(_query(query.name.encode(), test))
    if not conditions:
        return None
    if len(conditions) == 1:
        return conditions[0]
    return lambda path, head: all(condition(path, head) for condition in conditions)


def _path(match: HTTPMatch) -> Matcher | None:
    if match.path_regex:
        fits = _regex(match.path_regex)
        return lambda path, _: fits(path)
    if match.path_exact:
        exact = match.path_exact.encode()
        if match.case_insensitive:
            exact = exact.lower()
            return lambda path, _: path.lower() == exact
        return lambda path, _: path == exact
    if match.path_prefix and match.path_prefix != "/":
        prefix = match.path_prefix.encode()
        if match.case_insensitive:
            prefix = prefix.lower()
            return lambda path, _: path.lower().startswith(prefix)
        return lambda path, _: path.startswith(prefix)
    return None


def _methods(methods: frozenset[bytes]) -> Matcher:
    return lambda _, head: head.method in methods


def _header(name: bytes, test: _Test | None, invert: bool) -> Matcher:
    def fits(_: bytes, head: RequestHead) -> bool:
        values = _values(head, name)
        if test is None:
            return bool(values) != invert
        return bool(values) and any(map(test, values)) != invert

    return fits


def _values(head: RequestHead, name: bytes) -> list[bytes]:
    """The values of a header in their order; `host` and Envoy's names of what stands in front of the headers too."""
    if name in {b"host", b":authority"}:
        return [head.authority]
    if name == b":path":
        return [head.path]
    if name == b":method":
        return [head.method]
    return [value for key, value in head.headers if key == name]


def _query(name: bytes, test: _Test | None) -> Matcher:
    def fits(_: bytes, head: RequestHead) -> bool:
        value = query_value(head.path, name)
        return value is not None and (test is None or test(value))

    return fits


def header_value(headers: Headers, name: bytes) -> bytes | None:
    """All values of a header, joined by commas; None without one."""
    values = [value for key, value in headers if key == name]
    if not values:
        return None
    return values[0] if len(values) == 1 else b",".join(values)


def query_value(path: bytes, name: bytes) -> bytes | None:
    """The first value of a query parameter as it is written, None without one."""
    _, found, query = path.partition(b"?")
    if found:
        for part in query.split(b"&"):
            key, _, value = part.partition(b"=")
            if key == name:
                return value
    return None


def _test(exact: str, prefix: str, suffix: str, regex: str) -> _Test | None:
    """What a value must be; None: present is enough."""
    if exact:
        wanted = exact.encode()
        return lambda value: value == wanted
    if prefix:
        wanted = prefix.encode()
        return lambda value: value.startswith(wanted)
    if suffix:
        wanted = suffix.encode()
        return lambda value: value.endswith(wanted)
    return _regex(regex) if regex else None


def _regex(pattern: str) -> _Test:
    """The match of a whole value; an expression that is not valid matches nothing."""
    import re2  # heavy: only where an expression is used

    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(pattern.encode(), options)
    except (re2.error, UnicodeEncodeError):
        return lambda _: False
    return lambda value: compiled.fullmatch(value) is not None

"""Does an answer match a recorded one? Pure: takes values, gives back a list of differences in words.

Source: tests/data/golden/README.md (steps, placeholders, compare modes). The rules live here and nowhere else; the
replayer only sends and times. Every rule has an accepting and a rejecting case in tests/conformance/test_matcher.py.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from meshtest.placeholders import PLACEHOLDER, Bindings

CLOSED_FAMILIES = ("x-cache", "age", "allow", "location", "content-encoding")
"""Headers that must be absent when they are not listed; also all of `X-Consul-*`."""

TRIALS = 50_000
"""Element comparisons spent on one list that compares as a set before giving up (recorded lists need < 2,000)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer as it arrived: header names in lower case, the body unpacked if it was gzip."""

    status: int
    headers: dict[str, str]
    body: bytes
    elapsed_s: float = 0.0


@dataclass(frozen=True, slots=True)
class DnsAnswer:
    """A DNS answer as text, in the form of the recordings (meshtest.dnstext renders it); `reply` false: none came."""

    reply: bool
    rcode: str = ""
    flags: list[str] = field(default_factory=list)
    opcode: int = 0
    sections: dict[str, list[str]] = field(default_factory=dict)
    edns: dict[str, Any] | None = None
    size: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Rules:
    """How the lists of one step compare, and what is left out."""

    unordered: bool | frozenset[str] = False
    ignore: frozenset[str] = frozenset()

    @classmethod
    def of(cls, step: dict[str, Any]) -> Rules:
        unordered = step.get("unordered", False)
        return cls(
            unordered if isinstance(unordered, bool) else frozenset(unordered), frozenset(step.get("ignore", ()))
        )

    def is_set(self, key: str) -> bool:
        return self.unordered if isinstance(self.unordered, bool) else key in self.unordered


def match_http(step: dict[str, Any], answer: Answer, bindings: Bindings) -> list[str]:
    """Differences between a recorded HTTP step and an answer; none means it matches and its bindings are kept."""
    mark = bindings.mark()
    differences = _match_http(step, answer, bindings)
    if differences:
        bindings.rollback(mark)
    return differences


def _match_http(step: dict[str, Any], answer: Answer, bindings: Bindings) -> list[str]:
    response, compare = step["response"], step.get("compare", "")
    differences = []
    if answer.status != response["status"]:
        differences.append(f"status: expected {response['status']}, got {answer.status} {answer.body[:300]!r}")
    if compare == "status" or differences:
        return differences
    differences += match_headers(response.get("headers", {}), answer.headers, bindings)
    if response.get("woken"):
        wait_s = wait_of(step["request"]["path"])
        if wait_s is not None and answer.elapsed_s >= wait_s:
            differences.append(f"woken: expected an answer within {wait_s} s, it took {answer.elapsed_s:.2f} s")
    if compare == "headers":
        return differences
    return differences + _match_body(step, answer.body, bindings)


def match_headers(expected: dict[str, str], actual: dict[str, str], bindings: Bindings) -> list[str]:
    differences = []
    listed = {name.lower() for name in expected}
    for name, value in expected.items():
        got = actual.get(name.lower())
        if got is None:
            differences.append(f"header {name}: expected {value!r}, it is absent")
        elif not bindings.match(value, got):
            differences.append(f"header {name}: expected {value!r}{_bound(value, bindings)}, got {got!r}")
    differences += [
        f"header {name}: expected none, got {value!r}"
        for name, value in actual.items()
        if name not in listed and (name.startswith("x-consul-") or name in CLOSED_FAMILIES)
    ]
    return differences


def _match_body(step: dict[str, Any], body: bytes, bindings: Bindings) -> list[str]:
    response, compare = step["response"], step.get("compare", "")
    if "text" in response:
        text = body.decode("utf-8", "replace")
        return [] if bindings.match(response["text"], text) else [f"text: expected {response['text']!r}, got {text!r}"]
    if "base64" in response:
        return [] if body == base64.b64decode(response["base64"]) else [f"bytes differ: got {body[:80]!r}"]
    if "json" not in response:
        return [] if not body else [f"body: expected none, got {body[:200]!r}"]
    expected = response["json"]
    if compare == "prometheus-names":
        return _missing_names("prometheus", expected, prometheus_names(body.decode("utf-8", "replace")))
    try:
        actual = json.loads(body)
    except ValueError as error:
        return [f"body is not JSON ({error}): {body[:200]!r}"]
    differences: list[str] = []
    if response.get("pretty") and actual and b"\n    " not in body:
        differences.append("body: expected indentation by four spaces")
    if compare == "keys":
        names = sorted(actual) if isinstance(actual, dict) else actual
        return differences + ([] if names == sorted(expected) else [f"keys: expected {expected}, got {names}"])
    if compare == "metric-names":
        return differences + _metric_names(expected, actual)
    if compare == "shape":
        return differences + list(shape_differences(expected, actual, "json"))
    rules = Rules.of(step)
    expected, actual = leave_out(expected, rules.ignore), leave_out(actual, rules.ignore)
    return differences + match_value(expected, actual, bindings, rules)


# -- JSON values -----------------------------------------------------------------------------------------------------


def match_value(expected: Any, actual: Any, bindings: Bindings, rules: Rules) -> list[str]:
    """Compare JSON by value; all differences, with the path to each."""
    differences: list[str] = []
    _compare(expected, actual, "json", "json", bindings, rules, differences.append)
    return differences


def _compare(
    expected: Any, actual: Any, path: str, key: str, bindings: Bindings, rules: Rules, report: Callable[[str], None]
) -> bool:
    if isinstance(expected, str):
        if bindings.match(expected, actual):
            return True
        report(f"{path}: expected {expected!r}{_bound(expected, bindings)}, got {short(actual)}")
        return False
    if _kind(expected) != _kind(actual):
        report(f"{path}: expected {short(expected)}, got {short(actual)}")
        return False
    if isinstance(expected, dict):
        return _compare_objects(expected, actual, path, bindings, rules, report)
    if isinstance(expected, list):
        if len(expected) != len(actual):
            report(f"{path}: expected {len(expected)} elements {short(expected)}, got {len(actual)} {short(actual)}")
            return False
        if rules.is_set(key):
            return _compare_sets(expected, actual, path, key, bindings, rules, report)
        # an inner list of an outer set has no name of its own: it compares in order, unless all lists are sets
        results = [
            _compare(one, other, f"{path}[{at}]", "", bindings, rules, report)
            for at, (one, other) in enumerate(zip(expected, actual, strict=True))
        ]
        return all(results)
    if expected == actual:
        return True
    report(f"{path}: expected {short(expected)}, got {short(actual)}")
    return False


def _compare_objects(
    expected: dict[str, Any],
    actual: dict[str, Any],
    path: str,
    bindings: Bindings,
    rules: Rules,
    report: Callable[[str], None],
) -> bool:
    same, left = True, dict(actual)
    templated = []
    for name, value in expected.items():
        if name not in left and PLACEHOLDER.search(name):
            templated.append((name, value))
        elif name not in left:
            report(f"{path}.{name}: expected {short(value)}, it is absent")
            same = False
        else:
            same = _compare(value, left.pop(name), f"{path}.{name}", name, bindings, rules, report) and same
    for name, value in templated:
        for candidate in left:
            mark = bindings.mark()
            if bindings.match(name, candidate) and _compare(
                value, left[candidate], path, name, bindings, rules, _silent
            ):
                del left[candidate]
                break
            bindings.rollback(mark)
        else:
            report(f"{path}.{name}: expected {short(value)}, nothing like it among {sorted(left)}")
            same = False
    for name, value in left.items():
        report(f"{path}.{name}: expected no such key, got {short(value)}")
        same = False
    return same


def _compare_sets(
    expected: list[Any],
    actual: list[Any],
    path: str,
    key: str,
    bindings: Bindings,
    rules: Rules,
    report: Callable[[str], None],
) -> bool:
    inner = key if rules.unordered is True else ""
    pairing = pair_up(
        expected, actual, lambda one, other: _compare(one, other, "", inner, bindings, rules, _silent), bindings
    )
    if pairing is None:
        for at, one in enumerate(expected):
            mark = bindings.mark()
            if not any(_compare(one, other, "", inner, bindings, rules, _silent) for other in actual):
                closest = min(actual, key=lambda other: _distance(one, other, bindings, rules), default=None)
                report(f"{path}{{{at}}}: nothing in the answer matches {short(one)}")
                if isinstance(one, (dict, list)):
                    _compare(one, closest, f"{path}{{{at}}} closest", inner, bindings, rules, report)
            bindings.rollback(mark)
        report(f"{path}: the lists differ as sets: expected {short(expected)}, got {short(actual)}")
        return False
    return True


def pair_up(
    expected: list[Any], actual: list[Any], matches: Callable[[Any, Any], bool], bindings: Bindings
) -> list[int] | None:
    """A pairing of two lists of one length under bindings that hold for all pairs at once, by backtracking."""
    order = sorted(range(len(expected)), key=lambda at: _openness(expected[at]))
    used: set[int] = set()
    chosen: dict[int, int] = {}
    trials = 0

    def search(depth: int) -> bool:
        nonlocal trials
        if depth == len(order):
            return True
        at = order[depth]
        for candidate in [at, *range(len(actual))]:  # most often the order is the same
            if candidate in used:
                continue
            trials += 1
            if trials > TRIALS:
                return False
            mark = bindings.mark()
            if matches(expected[at], actual[candidate]):
                used.add(candidate)
                chosen[at] = candidate
                if search(depth + 1):
                    return True
                used.discard(candidate)
            bindings.rollback(mark)
        return False

    return [chosen[at] for at in range(len(expected))] if search(0) else None


def leave_out(value: Any, names: Iterable[str]) -> Any:
    """Without these keys at any depth, and without the objects that this empties."""
    if not names:
        return value
    if isinstance(value, list):
        return [leave_out(item, names) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {}
    for key, item in value.items():
        if key in names:
            continue
        smaller = leave_out(item, names)
        if isinstance(item, dict) and item and not smaller:
            continue
        kept[key] = smaller
    return kept


def shape_differences(expected: Any, actual: Any, path: str) -> Iterable[str]:
    """Types in place of values (`string number bool null`); the answer may hold more."""
    if isinstance(expected, str):
        if expected != _kind(actual):
            yield f"{path}: expected a {expected}, got {short(actual)}"
    elif isinstance(expected, dict):
        if not isinstance(actual, dict):
            yield f"{path}: expected an object, got {short(actual)}"
            return
        for name, value in expected.items():
            if name == "<any>":
                for other, item in actual.items():
                    yield from shape_differences(value, item, f"{path}.{other}")
                if not actual:
                    yield f"{path}: expected at least one key"
            elif name not in actual:
                yield f"{path}.{name}: expected {short(value)}, it is absent"
            else:
                yield from shape_differences(value, actual[name], f"{path}.{name}")
    elif isinstance(expected, list):
        if not isinstance(actual, list):
            yield f"{path}: expected a list, got {short(actual)}"
        elif expected:
            if not actual:
                yield f"{path}: expected at least one element"
            for at, item in enumerate(actual):
                yield from shape_differences(expected[0], item, f"{path}[{at}]")


def prometheus_names(text: str) -> set[str]:
    """Metric names of the Prometheus text format: those with a TYPE or HELP line, and those of the samples."""
    names = set(re.findall(r"^# (?:TYPE|HELP) (\S+)", text, re.MULTILINE))
    return names | set(re.findall(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)[{ ]", text, re.MULTILINE))


def _metric_names(expected: dict[str, list[str]], actual: Any) -> list[str]:
    if not isinstance(actual, dict):
        return [f"metrics: expected an object, got {short(actual)}"]
    differences = []
    for family, names in expected.items():
        rows = actual.get(family)
        if not isinstance(rows, list):
            differences.append(f"metrics {family}: expected a list, got {short(rows)}")
        else:
            differences += _missing_names(family, names, {row.get("Name", "") for row in rows})
    return differences


def _missing_names(family: str, expected: list[str], actual: set[str]) -> list[str]:
    missing = [name for name in expected if name not in actual]
    return [f"{family} names: {len(missing)} of {len(expected)} missing: {' '.join(missing)}"] if missing else []


# -- DNS -------------------------------------------------------------------------------------------------------------


def match_dns(step: dict[str, Any], answer: DnsAnswer, bindings: Bindings) -> list[str]:
    """Differences between a recorded DNS step and an answer. `size` and `wire` do not compare."""
    mark = bindings.mark()
    differences = _match_dns(step["response"], answer, bindings)
    if differences:
        bindings.rollback(mark)
    return differences


def _match_dns(response: dict[str, Any], answer: DnsAnswer, bindings: Bindings) -> list[str]:
    if response.get("reply") is False:
        return [f"expected no reply, got {answer.rcode} {answer.sections}"] if answer.reply else []
    if not answer.reply:
        return ["expected a reply, none came"]
    if answer.problem:
        return [answer.problem]
    differences = []
    for name, expected, got in (
        ("rcode", response["rcode"], answer.rcode),
        ("flags", sorted(response["flags"]), sorted(answer.flags)),
        ("opcode", response.get("opcode", 0), answer.opcode),
        ("edns", response.get("edns"), answer.edns),
    ):
        if expected != got:
            differences.append(f"{name}: expected {expected}, got {got}")
    for section in ("question", "answer", "authority", "additional"):
        got = answer.sections.get(section, [])
        if f"{section}_pool" in response:
            differences += _match_pool(
                section, response[f"{section}_count"], response[f"{section}_pool"], got, bindings
            )
        else:
            differences += _match_section(section, response.get(section, []), got, bindings)
    return differences


def _match_section(section: str, expected: list[str], got: list[str], bindings: Bindings) -> list[str]:
    want, have = list(dict.fromkeys(expected)), list(dict.fromkeys(got))  # sections compare as sets
    if len(want) == len(have) and pair_up(want, have, bindings.match, bindings) is not None:
        return []
    missing = [record for record in want if not any(bindings.match(record, other) for other in have)]
    extra = [record for record in have if not any(bindings.match(other, record) for other in want)]
    return [f"{section}: missing {missing}, not expected {extra} ({len(want)} expected, {len(have)} got)"]


def _match_pool(section: str, count: int, pool: list[str], got: list[str], bindings: Bindings) -> list[str]:
    differences = []
    if len(got) != count:
        differences.append(f"{section}: expected {count} records, got {len(got)}")
    left = list(pool)
    for record in got:
        found = next((other for other in left if bindings.match(other, record)), None)
        if found is None:
            differences.append(f"{section}: {record!r} is not in the pool of {len(pool)}")
        else:
            left.remove(found)
    return differences


# -- small things ----------------------------------------------------------------------------------------------------


def wait_of(path: str) -> float | None:
    """The `wait` of a blocking query in seconds; None without one."""
    found = re.search(r"[?&]wait=(\d+(?:\.\d+)?)(ms|s|m)\b", path)
    return float(found[1]) * {"ms": 0.001, "s": 1, "m": 60}[found[2]] if found else None


def short(value: Any, limit: int = 240) -> str:
    text = json.dumps(value, ensure_ascii=False) if not isinstance(value, bytes) else repr(value)
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "number"
    return "string" if isinstance(value, str) else "list" if isinstance(value, list) else "object"


def _openness(value: Any) -> int:
    """Elements without placeholders first: they leave the least choice."""
    return len(PLACEHOLDER.findall(value if isinstance(value, str) else json.dumps(value)))


def _distance(one: Any, other: Any, bindings: Bindings, rules: Rules) -> int:
    differences: list[str] = []
    mark = bindings.mark()
    _compare(one, other, "", "", bindings, rules, differences.append)
    bindings.rollback(mark)
    return len(differences)


def _bound(text: str, bindings: Bindings) -> str:
    bound = [
        f"{found[0]}={bindings.values[key]}"
        for found in PLACEHOLDER.finditer(text)
        if found["bound"] and (key := (found["bound"], int(found["number"]))) in bindings.values
    ]
    return f" ({', '.join(bound)})" if bound else ""


def _silent(_: str) -> None:
    """Trials inside a set report nothing."""

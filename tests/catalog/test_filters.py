"""The filters of the golden scenario, replayed on rows built from its registrations."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.catalog.filters import compile_filter
from meshagent.catalog.filters_fields import KINDS
from meshagent.catalog.model import (
    Check,
    Connect,
    Node,
    Proxy,
    Service,
    ServiceAddress,
    ServiceEntry,
    Upstream,
    Weights,
)
from meshagent.errors import InternalError

GOLDEN = Path(__file__).parents[1] / "data/golden/http/filters.json"
STEPS = json.loads(GOLDEN.read_text())["steps"]
PREFIX = "Failed to create boolean expression evaluator: "


class Scene:
    """What the scenario registered, plus the agent's own node."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {
            "n1": Node(name="n1", id="1c0b-uuid", address="127.0.0.1", datacenter="dc1", tagged_addresses={"wan": "x"})
        }
        self.services: list[tuple[str, Service]] = [("n1", Service(id="consul", name="consul", port=8300))]
        self.checks: list[Check] = [
            Check(node="n1", check_id="serfHealth", name="Serf Health Status", status="passing")
        ]
        for step in STEPS:
            if step["request"]["method"] == "PUT":
                self._register(step["request"]["json"])

    def _register(self, body: dict[str, Any]) -> None:
        node = body["Node"]
        if "Address" in body:
            self.nodes[node] = Node(
                name=node,
                address=body["Address"],
                datacenter="dc1",
                tagged_addresses=body["TaggedAddresses"],
                meta=body["NodeMeta"],
            )
        raw = body["Service"]
        proxy = raw.get("Proxy", {})
        service = Service(
            id=raw["ID"],
            name=raw["Service"],
            kind=raw.get("Kind", ""),
            port=raw["Port"],
            tags=tuple(raw.get("Tags", ())),
            meta=raw.get("Meta"),
            address=raw.get("Address", ""),
            weights=Weights(
                passing=raw.get("Weights", {}).get("Passing", 1), warning=raw.get("Weights", {}).get("Warning", 1)
            ),
            enable_tag_override=raw.get("EnableTagOverride", False),
            tagged_addresses={
                k: ServiceAddress(address=v["Address"], port=v["Port"])
                for k, v in raw.get("TaggedAddresses", {}).items()
            },
            proxy=Proxy(
                destination_service_name=proxy.get("DestinationServiceName", ""),
                local_service_port=proxy.get("LocalServicePort", 0),
                upstreams=tuple(
                    Upstream(destination_name=u["DestinationName"], local_bind_port=u["LocalBindPort"])
                    for u in proxy.get("Upstreams", ())
                ),
            ),
            connect=Connect(),
        )
        self.services.append((node, service))
        if check := body.get("Check"):
            self.checks.append(
                Check(
                    node=node,
                    check_id=check["CheckID"],
                    name=check["Name"],
                    status=check["Status"],
                    notes=check["Notes"],
                    output=check["Output"],
                    service_id=raw["ID"],
                    service_name=raw["Service"],
                    service_tags=service.tags,
                )
            )

    def entries(self, name: str = "", *, connect: bool = False) -> list[ServiceEntry]:
        return [
            ServiceEntry(
                self.nodes[node],
                s,
                tuple(c for c in self.checks if c.node == node and c.service_id in ("", s.id)),
            )
            for node, s in self.services
            if (s.proxy.destination_service_name == name if connect else name in ("", s.name))
        ]


SCENE = Scene()


def ours(path: str, expression: str) -> Any:
    """Our answer in the form that `expected` gives the golden one."""
    last = path.rsplit("/", 1)[-1]

    def keep(kind: str, rows: list[Any]) -> list[Any]:
        return [row for row in rows if compile_filter(expression, kind)(row)]

    if path.startswith(("/v1/health/service/", "/v1/health/connect/")):
        rows = SCENE.entries(last, connect="/connect/" in path)
        return sorted(e.service.id for e in keep("service_entry", rows))
    if path.startswith(("/v1/catalog/service/", "/v1/catalog/connect/")):
        rows = SCENE.entries(last, connect="/connect/" in path)
        return sorted(e.service.id for e in keep("catalog_service", rows))
    if path == "/v1/catalog/services":
        found: dict[str, set[str]] = {}
        for e in keep("catalog_service", SCENE.entries()):
            found.setdefault(e.service.name, set()).update(e.service.tags)
        return {name: sorted(tags) for name, tags in found.items()}
    if path in ("/v1/catalog/nodes", "/v1/internal/ui/nodes"):
        return sorted(n.name for n in keep("node", list(SCENE.nodes.values())))
    if path.startswith(("/v1/catalog/node-services/", "/v1/catalog/node/")):
        return sorted(s.id for s in keep("agent_service", [s for node, s in SCENE.services if node == last]))
    if path.startswith("/v1/health/state/"):
        return sorted(c.check_id for c in keep("check", SCENE.checks))
    if path.startswith("/v1/health/checks/"):
        return sorted(c.check_id for c in keep("check", [c for c in SCENE.checks if c.service_name == last]))
    if path.startswith("/v1/health/node/"):
        return sorted(c.check_id for c in keep("check", [c for c in SCENE.checks if c.node == last]))
    if path == "/v1/agent/members":
        return [m["Name"] for m in keep("member", [{"Name": "n1", "Status": 1, "Tags": {}}])]
    empty = {
        "/v1/agent/services": "agent_service",
        "/v1/agent/checks": "agent_check",
        "/v1/internal/ui/services": "service_entry",
        "/v1/config/service-defaults": "config_entry",
        "/v1/connect/intentions": "intention",
        "/v1/exported-services": "exported_service",
    }
    return keep(empty[path], []) if compile_filter(expression, empty[path]) else None


def expected(path: str, body: Any) -> Any:
    if path.startswith(("/v1/health/service/", "/v1/health/connect/")):
        return sorted(e["Service"]["ID"] for e in body)
    if path.startswith(("/v1/catalog/service/", "/v1/catalog/connect/")):
        return sorted(e["ServiceID"] for e in body)
    if path == "/v1/catalog/services":
        return {name: sorted(tags) for name, tags in body.items()}
    if path in ("/v1/catalog/nodes", "/v1/internal/ui/nodes"):
        return sorted(n["Node"] for n in body)
    if path.startswith("/v1/catalog/node-services/"):
        return sorted(s["ID"] for s in body["Services"])
    if path.startswith("/v1/catalog/node/"):
        return sorted(body["Services"])
    if path.startswith("/v1/health/"):
        return sorted(c["CheckID"] for c in body)
    if path == "/v1/agent/members":
        return [m["Name"] for m in body]
    return list(body)


def cases() -> list[Any]:
    found = []
    for number, step in enumerate(STEPS):
        path, query = urlsplit(step["request"]["path"])[2:4]
        expression = dict(parse_qsl(query, keep_blank_values=True)).get("filter")
        if step["request"]["method"] == "GET" and not path.startswith(("/v1/kv", "/v1/session")):
            found.append(pytest.param(unquote(path), expression, step["response"], id=f"{number}-{step['row']}"))
    return found


@pytest.mark.parametrize(("path", "expression", "response"), cases())
def test_filters_answer_as_consul(path: str, expression: str, response: dict[str, Any]) -> None:  # F1-F10, C21
    if response["status"] == 500:
        with pytest.raises(InternalError) as caught:
            ours(path, expression)
        assert str(caught.value) == response["text"]
        assert caught.value.http_status == 500
    else:
        assert ours(path, expression) == expected(path, response["json"])


def test_the_golden_scenario_has_its_176_steps() -> None:
    assert len(STEPS) == 176
    assert len(cases()) == 169


ROW = ServiceEntry(
    Node(name="a"),
    Service(id="s", name="s", tags=("t1",), meta={"k": "v", "é": "ü"}),
    (Check(status="passing", service_tags=("x",)), Check(status="warning", check_id="c2")),
)


@pytest.mark.parametrize(
    ("expression", "answer"),
    [
        # a missing key: positive operators are false, all others true, as in go-bexpr 0.1 (F5)
        ("Service.Meta.nokey matches `v`", True),
        ("Service.Meta.nokey not matches `v`", True),
        ("v in Service.Meta.nokey", False),
        ("v not in Service.Meta.nokey", True),
        # a map that is null
        ("Node.Meta is empty", True),
        ("k in Node.Meta", False),
        ("Node.Meta.k != v", True),
        # any element of a list of objects
        ("Checks.Status == passing and Checks.Status == warning", True),
        ("x in Checks.ServiceTags", True),
        ("Checks.ServiceTags is empty", True),
        # a proxy without its optional block
        ("Service.Proxy.TransparentProxy.OutboundListenerPort == 0", True),
        ("Service.Proxy.MeshGateway.Mode == ``", True),
        ("Service.Proxy.Expose.Paths is empty", True),
        # integers are Go literals
        ('Service.Port == "0x0"', True),
        ('Service.Port == "0b0"', True),
        ('Service.Port == "+0"', True),
        ("Service.EnableTagOverride == F", True),
        # text
        ('Service.Meta["é"] == "ü"', True),
        ('Service.Meta["\\u00e9"] == "\\xc3\\xbc"', True),
        ("Service.ID == s or Service.ID == x or Service.ID == y", True),
        ("Service.ID == s and Service.Port == 0 and Node.Node == a", True),
        ("not not Service.ID == s", True),
        ('Service.ID matches "(?i)^S$"', True),
        ("Service\n.ID == s", None),
    ],
)
def test_semantics_beyond_the_golden_file(expression: str, answer: bool | None) -> None:
    if answer is None:
        with pytest.raises(InternalError, match=r"2:1 \(8\)"):
            compile_filter(expression, "service_entry")
    else:
        assert compile_filter(expression, "service_entry")(ROW) is answer


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (
            'Service.Port == "0_"',
            'Failed to coerce value "0_" for selector "Service.Port": strconv.ParseInt: parsing "0_": invalid syntax',
        ),
        (
            f'Service.Port == "{"9" * 5000}"',
            f'Failed to coerce value "{"9" * 5000}" for selector "Service.Port": '
            f'strconv.ParseInt: parsing "{"9" * 5000}": value out of range',
        ),
        (
            'Service.ID matches "[a"',
            'Failed to compile regular expression "[a": error parsing regexp: missing closing ]: `[a`',
        ),
        (
            'Service.ID matches "*"',
            'Failed to compile regular expression "*": error parsing regexp: '
            "missing argument to repetition operator: `*`",
        ),
        ("Service.Tags.x == 1", 'Selector "Service.Tags.x" is not valid'),
        ("Service.ID.x == 1", 'Selector "Service.ID.x" is not valid'),
        ("Service.Tags matches x", 'Invalid match operator "Matches" for selector "Service.Tags"'),
        ("x not in Service.Port", 'Invalid match operator "Not In" for selector "Service.Port"'),
        ("Service.Meta.k is not empty", 'Invalid match operator "Is Not Empty" for selector "Service.Meta.k"'),
    ],
)
def test_errors_name_the_selector(expression: str, message: str) -> None:  # C21
    with pytest.raises(InternalError) as caught:
        compile_filter(expression, "service_entry")
    assert str(caught.value) == PREFIX + message


def test_members_have_unsigned_ports() -> None:
    with pytest.raises(InternalError, match=r'strconv.ParseUint: parsing "-1": invalid syntax'):
        compile_filter("Port == -1", "member")
    assert compile_filter("Port == 8301 and Tags.role == consul", "member")({"Port": 8301, "Tags": {"role": "consul"}})


def test_checks_of_the_agent_refuse_a_bad_selector_at_the_first_row() -> None:
    predicate = compile_filter("Checks.Status == a", "agent_check")
    with pytest.raises(InternalError, match=r'^Selector "Checks" is not valid$'):
        predicate(Check())


def test_an_unknown_kind_is_our_mistake() -> None:
    with pytest.raises(KeyError):
        compile_filter("a == 1", "nothing")


@given(st.text(max_size=60), st.sampled_from(sorted(KINDS)))
def test_any_text_compiles_or_raises_the_named_error(text: str, kind: str) -> None:
    try:
        compile_filter(text, kind)
    except InternalError as error:
        assert str(error).startswith(PREFIX)


_PATHS = ["Service.ID", "Service.Meta.k", "Service.Tags", "Node", "Checks.Status", "Service.Port", "Service.Zork"]
_TERMS = st.builds(
    lambda path, op, value: f"{path} {op} {value}",
    st.sampled_from(_PATHS),
    st.sampled_from(["==", "!=", "contains", "not contains", "matches", "not matches", "is empty", "is not empty"]),
    st.sampled_from(["", "s", "1", '"("', "`.*`", '"\\x80"']),
)
_EXPRESSIONS = st.recursive(
    _TERMS,
    lambda inner: st.one_of(
        st.builds("not ({})".format, inner),
        st.builds("({}) and ({})".format, inner, inner),
        st.builds("({}) or ({})".format, inner, inner),
    ),
    max_leaves=6,
)


@given(_EXPRESSIONS)
def test_what_compiles_also_evaluates_and_not_turns_it_round(text: str) -> None:
    try:
        predicate = compile_filter(text, "service_entry")
    except InternalError:
        return
    assert compile_filter(f"not ({text})", "service_entry")(ROW) is (not predicate(ROW))

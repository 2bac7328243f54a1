from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.decode import Nanoseconds, Problem, Seconds, decode, decode_body, decode_file_value
from meshagent.agent.decode import to_builtins as encode
from meshagent.catalog.model import Check, Node, Proxy, Row, Service, Upstream, Weights
from meshagent.errors import BadRequest, InternalError
from meshagent.located import Blocks, Place


class RegisterRequest(Row, frozen=True, kw_only=True):
    """The shape of `catalog/register`, as far as these tests need it."""

    node: str = ""
    address: str = ""
    skip_node_update: bool = False
    service: Service | None = None
    check: Check | None = None
    checks: tuple[Check, ...] = ()
    tagged_addresses: dict[str, str] | None = None


class Session(Row, frozen=True, kw_only=True):
    go_alias = True

    ttl: str = ""
    lock_delay: Seconds = 0.0
    period: Nanoseconds = 0
    ratio: float = 0.0
    value: bytes = b""
    anything: Any = None
    names: dict[str, tuple[str, ...]] | None = None
    weights: Weights | None = None


def refusal(target: Any, body: bytes | str, **options: Any) -> str:
    with pytest.raises(BadRequest) as error:
        decode_body(target, body.encode() if isinstance(body, str) else body, **options)
    return str(error.value)


@pytest.mark.parametrize(
    ("body", "message"),
    [  # surface row C7: all as a running Consul answered
        ('{"Foo": 1}', 'json: unknown field "Foo"'),
        ('{"Service": {"Service": "a", "Bogus": true}}', 'json: unknown field "Bogus"'),
        ("not json", "invalid character 'o' in literal null (expecting 'u')"),
        ('{"Node":', "unexpected EOF"),
        ("", "EOF"),
        ("[]", "json: cannot unmarshal array into Go value of type structs.RegisterRequest"),
        ('{"Node": 5}', "json: cannot unmarshal number into Go struct field RegisterRequest.Node of type string"),
        (
            '{"Service": {"Service": "a", "Port": "80"}}',
            "json: cannot unmarshal string into Go struct field NodeService.Service.Port of type int",
        ),
        (
            '{"Service": {"Port": 1.5}}',
            "json: cannot unmarshal number 1.5 into Go struct field NodeService.Service.Port of type int",
        ),
        (
            '{"Service": {"Weights": []}}',
            "json: cannot unmarshal array into Go struct field NodeService.Service.Weights of type structs.Weights",
        ),
    ],
)
def test_a_body_is_refused_in_consuls_words(body: str, message: str) -> None:
    assert refusal(RegisterRequest, body) == f"Request decode failed: {message}"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"TTL": 10}', "json: cannot unmarshal number into Go struct field .Alias.TTL of type string"),
        ('{"LockDelay": "zz"}', 'time: invalid duration "zz"'),
        ('{"LockDelay": "10"}', 'time: missing unit in duration "10"'),
        (
            '{"Names": "x"}',
            "json: cannot unmarshal string into Go struct field .Alias.Names of type map[string][]string",
        ),
        (
            '{"Weights": {"Passing": "1"}}',
            "json: cannot unmarshal string into Go struct field Weights.Alias.Weights.Passing of type int",
        ),
        ('{"Value": "a!b"}', "illegal base64 data at input byte 1"),
        ('{"Value": 1}', "json: cannot unmarshal number into Go struct field .Alias.Value of type []uint8"),
        ('{"Ratio": "1"}', "json: cannot unmarshal string into Go struct field .Alias.Ratio of type float64"),
        (
            '{"Weights": true}',
            "json: cannot unmarshal bool into Go struct field .Alias.Weights of type structs.Weights",
        ),
    ],
)
def test_types_read_through_an_alias_show_it(body: str, message: str) -> None:
    assert refusal(Session, body) == f"Request decode failed: {message}"


def test_the_words_around_the_message_are_the_callers() -> None:
    with pytest.raises(InternalError, match=r"^Failed to parse body: .* into Go value of type api\.TxnOps$"):
        decode_body(list[Session], b"{}", prefix="Failed to parse body: ", error=InternalError, go_value="api.TxnOps")
    assert refusal(RegisterRequest, '{"Namespace": "default"}', tenancy=True) == (
        'Request decode failed: json: unknown field "Namespace" - Namespaces are a Consul Enterprise feature'
    )


def test_keys_match_without_regard_to_case_and_the_exact_one_is_enough() -> None:
    body = b'{"node": "n", "ADDRESS": "a", "Service": {"service": "web", "port": 80, "tAgS": ["a"]}}'
    request = decode_body(RegisterRequest, body)
    assert request == RegisterRequest(node="n", address="a", service=Service(name="web", port=80, tags=("a",)))


def test_snake_case_only_where_allowed() -> None:
    raw = {"tagged_addresses": {"lan": "1.2.3.4"}, "skip_node_update": True}
    assert decode(RegisterRequest, raw).skip_node_update
    with pytest.raises(BadRequest, match='unknown field "tagged_addresses"'):
        decode(RegisterRequest, raw, snake_case=False)


def test_null_leaves_the_default_and_text_after_the_value_is_ignored() -> None:
    assert decode_body(RegisterRequest, b'{"Node": null, "Service": null} trailing') == RegisterRequest()
    assert decode_body(RegisterRequest, b"null") == RegisterRequest()
    assert decode_body(Node, b"{}") == Node(name="")
    nulls = decode_body(RegisterRequest, b'{"Checks": [null], "TaggedAddresses": {"lan": null}}')
    assert nulls == RegisterRequest(checks=(Check(),), tagged_addresses={"lan": ""})


def test_durations_are_go_strings_or_nanoseconds() -> None:
    assert decode_body(Session, b'{"LockDelay": "1m30s", "Period": "15ms"}').lock_delay == 90.0
    assert decode_body(Session, b'{"LockDelay": 1500000000}').lock_delay == 1.5
    assert decode_body(Session, b'{"Period": "15ms"}').period == 15_000_000
    assert decode_body(Session, b'{"Period": ""}').period == 0


def test_what_go_leaves_at_zero_stays_zero() -> None:
    assert decode_body(Session, b'{"Weights": {"Passing": 7}}').weights == Weights(passing=7, warning=0)


def test_numbers_beyond_64_bits_and_bad_unicode_are_go_like() -> None:
    assert "number 99999999999999999999 into" in refusal(RegisterRequest, '{"Service": {"Port": 99999999999999999999}}')
    assert decode_body(Session, rb'{"TTL": "\ud800x"}').ttl == "\ufffdx"
    assert decode_body(Session, b'{"TTL": "\xff"}').ttl == "\ufffd"
    assert refusal(Session, "[" * 20_000) == "Request decode failed: exceeded max depth"
    assert "out of range" in refusal(Session, '{"TTL":' + "1" * 5000 + "}")


def test_free_form_values_keep_their_keys() -> None:
    proxy = decode(Proxy, {"config": {"envoy_x": {"Foo_bar": [1]}}, "upstreams": [{"destination_name": "db"}]})
    assert proxy.config == {"envoy_x": {"Foo_bar": [1]}}
    assert proxy.upstreams == (Upstream(destination_name="db"),)


def _blocks(*tables: dict[str, Any]) -> Blocks:
    blocks = Blocks()
    for line, table in enumerate(tables, 1):
        blocks.put(table, Place("a.hcl", line, 1))
    return blocks


def test_a_file_reports_every_problem_with_its_path() -> None:
    problems: list[Problem] = []
    raw = {
        "service": {"port": "80", "nmae": "x", "tags": ["a", 1], "weights": _blocks({"passing": 1}, {"passing": 2})},
        "tagged_addresses": _blocks({"lan": "x"}),
    }
    request = decode_file_value(RegisterRequest, raw, problems)
    assert request is not None
    assert request.tagged_addresses == {"lan": "x"}
    assert [(p.path, p.text) for p in problems] == [
        (["service", "port"], "must be a whole number, not a string ('80')"),
        (["service", "nmae"], "invalid config key nmae (did you mean 'name'?)"),
        (["service", "tags", 1], "must be a string, not a number ('1')"),
        (["service", "weights"], "given 2 times, may be given once"),
    ]


def test_nested_aliases_start_anew() -> None:
    body = '{"Service": {"Proxy": {"Upstreams": [{"LocalBindPort": "1"}]}}}'
    assert refusal(RegisterRequest, body).endswith("into Go struct field .Alias.LocalBindPort of type int")


def test_a_file_takes_durations_as_strings_only() -> None:
    problems: list[Problem] = []
    decode_file_value(Session, {"lock_delay": 10}, problems)
    assert "a duration such as" in problems[0].text


def test_encode_is_the_reverse_of_decode() -> None:
    session = Session(ttl="10s", lock_delay=1.5, value=b"\x00", names={"a": ("b",)}, weights=Weights(passing=3))
    assert encode(session) == {
        "TTL": "10s",
        "LockDelay": "1.5s",
        "Value": "AA==",
        "Names": {"a": ["b"]},
        "Weights": {"Passing": 3, "Warning": 1},
    }
    assert decode(Session, encode(session)) == session


@given(st.binary() | st.text(alphabet='{}[]:,"NodeSrvic01ntls ').map(str.encode))
def test_any_bytes_decode_or_raise_bad_request(body: bytes) -> None:
    try:
        decode_body(RegisterRequest, body)
    except BadRequest as error:
        assert str(error).startswith("Request decode failed: ")


raw_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["Node", "service", "PORT", "Weights", "Meta", "Tags", "zz"]), inner)
    ),
)


@given(raw_values)
def test_any_json_value_decodes_or_raises_bad_request(raw: Any) -> None:
    try:
        assert isinstance(decode(RegisterRequest, raw), RegisterRequest)
    except BadRequest as error:
        assert str(error).startswith("Request decode failed: ")
    problems: list[Problem] = []
    decode_file_value(RegisterRequest, raw, problems)
    assert all(problem.text for problem in problems)


def test_a_target_that_cannot_be_decoded_is_our_own_mistake() -> None:
    class Strange(msgspec.Struct):
        inner: set[str]

    with pytest.raises(TypeError):
        decode(Strange, {})


def test_json_and_python_agree_on_what_a_body_says() -> None:
    raw = {"Node": "é😀", "Service": {"Service": "a", "Meta": {"k": "ü"}, "Port": -5}}
    assert decode_body(RegisterRequest, json.dumps(raw).encode()) == decode(RegisterRequest, raw)

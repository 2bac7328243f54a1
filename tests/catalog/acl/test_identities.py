from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.catalog.acl.authorizer import Authorizer
from meshagent.catalog.acl.identities import TEMPLATES, node_rules, service_rules
from meshagent.errors import BadRequest

GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "http" / "acl-objects.json"


def recorded(path: str, body: Any = None) -> Any:
    for step in json.loads(GOLDEN.read_text())["steps"]:
        request = step.get("request", {})
        if request.get("path") == path and (body is None or request.get("json") == body):
            return step["response"]
    raise AssertionError(f"nothing was recorded for {path}")


def test_the_templates_are_those_of_a_real_server() -> None:  # L27, AC15
    shown = {
        row.name: {
            "TemplateName": row.name,
            "Schema": row.schema,
            "Template": row.text,
            "Description": row.description,
        }
        for row in TEMPLATES.values()
    }
    assert shown == recorded("/v1/acl/templated-policies")["json"]


@pytest.mark.parametrize(
    ("name", "given"),
    [("builtin/service", "web"), ("builtin/node", "n"), ("builtin/api-gateway", "gw"), ("builtin/dns", "")],
)
def test_a_template_with_its_name_is_the_policy_of_a_real_server(name: str, given: str) -> None:
    answer = recorded(f"/v1/acl/templated-policy/preview/{name}", {"Name": given} if given else {})
    assert TEMPLATES[name].rules_text(given) == answer["json"]["Rules"]


@pytest.mark.parametrize("given", ["", "bad name!"])
def test_a_name_that_cannot_be_one_is_refused(given: str) -> None:
    body = {"Name": given} if given else {}
    answer = recorded("/v1/acl/templated-policy/preview/builtin/service", body)
    with pytest.raises(BadRequest) as refused:
        TEMPLATES["builtin/service"].rules(given)
    assert (refused.value.http_status, str(refused.value)) == (answer["status"], answer["text"])


def test_a_service_may_register_itself_and_its_sidecar_and_find_others() -> None:  # L25
    acl = Authorizer(service_rules("web"))
    assert acl.allows("service", "web", "write")
    assert acl.allows("service", "web-sidecar-proxy", "write")
    assert acl.allows("service", "api", "read")
    assert acl.allows("node", "n1", "read")
    assert not acl.allows("service", "webshop", "write")
    assert not acl.allows("node", "n1", "write")
    assert not acl.allows("key", "a", "read")


def test_a_node_may_register_itself() -> None:  # L26
    acl = Authorizer(node_rules("n1"))
    assert acl.allows("node", "n1", "write")
    assert acl.allows("service", "web", "read")
    assert not acl.allows("node", "n2", "read")


@given(st.text(max_size=20))
def test_no_name_grants_more_than_itself(name: str) -> None:
    try:
        acl = Authorizer(service_rules(name))
    except BadRequest:
        return
    assert acl.allows("service", name, "write")
    assert not acl.allows("service", name + "x", "write")
    assert not acl.allows("operator", "", "read")

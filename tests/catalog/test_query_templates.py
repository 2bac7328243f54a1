"""PQ5: templates, in the answers of a real Consul (tests/data/golden/http/prepared-queries.json) and beside them."""

from __future__ import annotations

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given

from meshagent.catalog.model import (
    PreparedQuery,
    QueryFailover,
    QueryService,
    QueryTarget,
    QueryTemplate,
)
from meshagent.catalog.query_templates import check, is_template, render

REGEXP = "^tpl-(.*?)-([^\\-]+?)$"


def template(name: str = "tpl-", *, regexp: str = "", remove_empty_tags: bool = False, **service: object):
    return PreparedQuery(
        id="1",
        name=name,
        template=QueryTemplate(type="name_prefix_match", regexp=regexp, remove_empty_tags=remove_empty_tags),
        service=msgspec.structs.replace(QueryService(service="x"), **service),
    )


@pytest.mark.parametrize(
    ("text", "name", "filled"),
    [
        ("${name.full}", "geo-app", "geo-app"),
        ("${name.suffix}", "geo-app", "app"),
        ("p-${name.prefix}", "GEO-app", "p-geo-"),
        ("${name.suffix}", "geo-", ""),
        ("${ name.suffix }.x${name.suffix}", "geo-a", "a.xa"),
        ("$${name.full} $5 {x}", "geo-a", "${name.full} $5 {x}"),
        ("seg=${agent.segment}", "geo-a", "seg=alpha"),
        ("${match(0)}", "geo-a", ""),
        ('${match("1")}', "geo-a", ""),
    ],
)
def test_pq5_variables(text, name, filled):
    assert render(template("geo-", service=text), name, "alpha").service.service == filled


@pytest.mark.parametrize(
    ("name", "remove", "service", "tags"),
    [
        ("tpl-app-blue", False, "app", ("blue", "")),
        ("tpl-app", False, "", ("", "")),
        ("tpl-app-blue", True, "app", ("blue",)),
        ("tpl-app", True, "", None),
    ],
)
def test_pq5_groups_of_the_expression(name, remove, service, tags):
    query = template(
        regexp=REGEXP, remove_empty_tags=remove, service="${match(1)}", tags=("${match(2)}", "${match(9)}")
    )
    found = render(query, name).service
    assert (found.service, found.tags) == (service, tags)


def test_pq5_every_text_of_the_service_block_is_filled():
    query = template(
        service="${name.suffix}",
        near="${name.suffix}",
        node_meta={"k": "${name.suffix}"},
        service_meta={"k": "${name.suffix}"},
        ignore_check_ids=("${name.suffix}",),
        peer="${name.suffix}",
        failover=QueryFailover(
            datacenters=("${name.suffix}",), targets=(QueryTarget(peer="${name.suffix}", datacenter="${name.suffix}"),)
        ),
    )
    found = render(query, "tpl-a").service
    assert found == QueryService(
        service="a",
        near="a",
        node_meta={"k": "a"},
        service_meta={"k": "a"},
        ignore_check_ids=("a",),
        peer="a",
        failover=QueryFailover(datacenters=("a",), targets=(QueryTarget(peer="a", datacenter="a"),)),
    )


@pytest.mark.parametrize(
    ("service", "message"),
    [
        (
            {"service": "${match(1"},
            "Bad format '${match(1' in Service.Service: parse error at 1:10: expected \")\" but found end of string",
        ),
        (
            {"service": "${zork}"},
            "Bad evaluation for '${zork}' in Service.Service: 1:3: unknown variable accessed: zork",
        ),
        (
            {"tags": ("a", "${upper(1)}")},
            "Bad evaluation for '${upper(1)}' in Service.Tags[1]: 1:3: unknown function called: upper",
        ),
        (
            {"node_meta": {"k": "${"}},
            "Bad format '${' in Service.NodeMeta[k]: parse error at 1:3: expected expression but found end of string",
        ),
        (
            {"near": "${name.full"},
            "Bad format '${name.full' in Service.Near: parse error at 1:12: expected \"}\" but found end of string",
        ),
    ],
)
def test_pq1_a_broken_template_is_refused(service, message):
    with pytest.raises(ValueError) as caught:
        check(template(**service))
    assert str(caught.value) == message


def test_pq1_an_unknown_type_and_a_bad_expression():
    with pytest.raises(ValueError, match=r"Bad Template\.Type 'zork'"):
        check(PreparedQuery(template=QueryTemplate(type="zork")))
    with pytest.raises(ValueError, match=r"Bad Regexp: error parsing regexp: missing closing \): `\(`"):
        check(template(regexp="("))
    assert is_template(template())
    assert not is_template(PreparedQuery())


@given(st.text(alphabet='${}()",. abcmatchnefull019', max_size=30), st.text(max_size=8))
def test_any_text_is_filled_or_a_value_error(text, name):
    query = template(service=text)
    try:
        check(query)
    except ValueError:
        return
    render(query, name)  # what was accepted renders for every name

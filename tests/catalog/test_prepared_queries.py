"""PQ1, PQ2, PQ5: definitions, their names and templates."""

from __future__ import annotations

import pytest

from meshagent.catalog.model import PreparedQuery, QueryDns, QueryFailover, QueryService, QueryTarget, QueryTemplate
from meshagent.catalog.prepared_queries import PreparedQueries, validate
from meshagent.catalog.undo import Undo
from meshagent.catalog.watch import Watches
from meshagent.errors import InternalError

ID1, ID2, ID3 = (f"{n}1111111-2222-3333-4444-555555555555" for n in "abc")
PLAIN = QueryTemplate()
TEMPLATE = QueryTemplate(type="name_prefix_match")


def query(id: str, name: str, *, template: QueryTemplate = PLAIN, session: str = "", service: str = "web"):
    return PreparedQuery(
        id=id, name=name, template=template, session=session, service=QueryService(service=service, tags=("t",))
    )


@pytest.fixture
def table() -> PreparedQueries:
    return PreparedQueries(Watches(), Undo())


def put(table: PreparedQueries, row: PreparedQuery, index: int = 5) -> None:
    table.set(row, index, lambda session: session == "s")


def test_indexes_of_a_definition(table):
    put(table, query(ID1, "q"), 5)
    put(table, query(ID1, "r"), 7)
    row = table.rows[ID1]
    assert (row.create_index, row.modify_index, table.index) == (5, 7, 7)
    assert table.resolve("q") is None
    assert table.resolve("R") is row
    assert table.resolve(ID1.upper()) is row
    table.delete(ID1, 9)
    assert (table.resolve("r"), table.index) == (None, 9)
    table.delete(ID1, 11)
    assert table.index == 9


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (query(ID2, "Q"), "name 'Q' aliases an existing query name"),
        (query(ID2, "q", template=TEMPLATE), "name 'q' aliases an existing query name"),
        (query(ID2, ID1), f"name '{ID1}' aliases an existing query ID"),
        (query(ID2, "x", session="nope"), 'invalid session "nope"'),
        (query(ID2, "x", template=QueryTemplate(type="zork")), "failed compiling template: Bad Template.Type 'zork'"),
        (query(ID2, "", template=TEMPLATE), "a query template with an empty name already exists"),
    ],
)
def test_pq1_what_the_state_refuses(table, row, message):
    put(table, query(ID1, "q"))
    put(table, query(ID3, "", template=TEMPLATE))
    before = dict(table.rows)
    with pytest.raises(InternalError) as caught:
        put(table, row, 9)
    assert str(caught.value) == message
    assert (table.rows, table.index) == (before, 5)


def test_pq5_the_longest_prefix_answers_a_name_wins_and_the_empty_one_catches_all(table):
    put(table, query(ID1, "geo-", template=TEMPLATE, service="long"))
    put(table, query(ID2, "", template=TEMPLATE, service="${name.full}"))
    put(table, query(ID3, "geo-x"))
    names = ("geo-x", "GEO-y", "geo-", "geo", "other")
    assert [table.resolve(name).service.service for name in names] == ["web", "long", "long", "geo", "other"]
    table.delete(ID2, 6)
    assert table.resolve("other") is None


def test_pq3_a_template_has_no_answer_for_its_id_and_an_unknown_id_is_a_name(table):
    put(table, query(ID1, "", template=TEMPLATE, service="${name.full}"))
    assert table.resolve(ID2).service.service == ID2
    with pytest.raises(InternalError, match="prepared query templates can only be resolved up by name, not by ID"):
        table.resolve(ID1)


def test_a_template_may_become_a_plain_query(table):
    put(table, query(ID1, "q", template=TEMPLATE))
    put(table, query(ID1, "q"))
    assert table.resolve("q-more") is None
    assert table.resolve("q").id == ID1


def test_pq1_what_is_bound_to_a_session_goes_with_it(table):
    put(table, query(ID1, "a", session="s"))
    put(table, query(ID2, "b"))
    woken: list[int] = []
    table._watches.subscribe(["prepared-queries"], lambda: woken.append(1))
    table.session_gone("s", 9)
    table._watches.flush()
    assert (list(table.rows), table.index, woken) == ([ID2], 9, [1])


def test_a_transaction_that_fails_brings_back_what_went_with_a_session(table):
    put(table, query(ID1, "a", session="s"))
    table._undo.begin()
    table.session_gone("s", 9)
    assert not table.rows
    table._undo.rollback()
    assert (list(table.rows), table.index, table.resolve("a").id) == ([ID1], 5, ID1)
    table.session_gone("s", 11)
    assert not table.rows


def named(**service: object) -> PreparedQuery:
    return PreparedQuery(name="n", service=QueryService(**{"service": "web", **service}))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (PreparedQuery(), "Must be bound to a session"),
        (PreparedQuery(name="x"), "Must provide a Service name to query"),
        (named(failover=QueryFailover(nearest_n=-1)), "Bad NearestN '-1', must be >= 0"),
        (
            named(failover=QueryFailover(nearest_n=1, targets=(QueryTarget(peer="p"),))),
            "Targets cannot be populated with NearestN or Datacenters",
        ),
        (named(node_meta={"": "x"}), "Couldn't load metadata pair ('', 'x'): Key cannot be blank"),
        (
            PreparedQuery(name="n", service=QueryService(service="w"), dns=QueryDns(ttl="zz")),
            "Bad DNS TTL 'zz': time: invalid duration \"zz\"",
        ),
        (
            PreparedQuery(name="n", service=QueryService(service="w"), dns=QueryDns(ttl="-1s")),
            "DNS TTL '-1000000000', must be >=0",
        ),
    ],
)
def test_pq1_what_is_refused_before(row, message):
    with pytest.raises(InternalError) as caught:
        validate(row)
    assert str(caught.value) == f"Invalid prepared query: {message}"


def test_pq1_what_is_accepted():
    validate(named())
    validate(PreparedQuery(session="s", service=QueryService(service="w")))
    validate(PreparedQuery(template=TEMPLATE, service=QueryService(service="w")))

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.checks.alias import AliasedHealth, evaluate, look
from meshagent.agent.checks.probe import Outcome
from meshagent.errors import NoLeader


@dataclass(frozen=True)
class Row:
    check_id: str
    service_id: str
    status: str
    output: str = "out"

    @property
    def name(self):
        return f"name of {self.check_id}"


def judge(*checks, exists=True, node="", service="web"):
    return evaluate(AliasedHealth(checks, exists), "alias", node, service)


def test_without_checks():
    """K19, golden scenario agent-services: a sidecar's alias of a service without checks."""
    assert judge() == Outcome("passing", "No checks found.")


def test_all_passing():
    assert judge(Row("a", "web", "passing"), Row("n", "", "passing")) == Outcome("passing", "All checks passing.")


def test_critical_beats_warning_beats_passing():
    checks = [Row("a", "web", "warning"), Row("b", "web", "critical", "down"), Row("c", "web", "passing")]
    assert judge(*checks) == Outcome("critical", 'Aliased check "name of b" failing: down')
    assert judge(checks[0], checks[2]) == Outcome("warning", 'Aliased check "name of a" failing: out')


def test_node_checks_count_and_other_services_do_not():
    assert judge(Row("n", "", "critical"), Row("a", "web", "passing")).status == "critical"
    assert judge(Row("d", "db", "critical"), Row("a", "web", "passing")).status == "passing"


def test_a_service_that_is_not_there():
    assert judge(Row("n", "", "passing"), exists=False, node="n1") == Outcome(
        "critical", "Service web could not be found on node n1"
    )


def test_an_alias_of_a_node_needs_no_service():
    assert judge(Row("n", "", "passing"), exists=False, node="n1", service="") == Outcome(
        "passing", "All checks passing."
    )


def test_the_alias_itself_does_not_count():
    """It is a node check here and would keep itself critical."""
    assert judge(Row("alias", "", "critical")) == Outcome("passing", "No checks found.")


def test_a_source_that_fails_is_critical(define):
    def no_leader(node, service_id):
        assert (node, service_id) == ("n2", "web")
        raise NoLeader

    outcome = look(no_leader, "alias", define("alias", alias_node="n2", alias_service="web"))
    assert outcome == Outcome("critical", "Failure checking aliased node or service: No cluster leader")


@given(st.lists(st.tuples(st.sampled_from(["", "web", "db"]), st.sampled_from(["passing", "warning", "critical"]))))
def test_the_worst_status_wins_in_any_order(rows):
    checks = [Row(f"c{n}", service, status) for n, (service, status) in enumerate(rows)]
    relevant = [status for service, status in rows if service in ("", "web")]
    worst = next((s for s in ("critical", "warning") if s in relevant), "passing")
    assert judge(*checks).status == worst
    assert judge(*reversed(checks)).status == worst


@pytest.mark.parametrize("name", ['say "hi"', "plain"])
def test_names_are_quoted(name):
    row = Row("a", "web", "warning")
    object.__setattr__(row, "check_id", name)
    assert judge(row).output == f'Aliased check "name of {name}" failing: out'.replace('say "hi"', 'say \\"hi\\"')

import json
from typing import Any

import pytest


def check(status: str, check_id: str, service: str = "", output: str = "") -> dict[str, str]:
    return {
        "Node": "n1",
        "CheckID": check_id,
        "Status": status,
        "ServiceName": service,
        "Output": output,
        "Notes": "",
    }


CHECKS = [
    check("passing", "serfHealth", output="Agent alive and reachable"),
    check("critical", "c1", "web", "HTTP GET: refused\nmore"),
    check("warning", "c2", "api", "x" * 200),
]


def test_the_worst_check_comes_first_with_its_output(cli: Any, stub: Any) -> None:
    stub.answer("health/state/any", CHECKS)
    lines = cli("health").out.splitlines()
    assert [line.split()[0] for line in lines] == ["Status", "critical", "warning", "passing"]
    assert lines[1].endswith("HTTP GET: refused")
    assert lines[2].endswith("xxx...")
    assert lines[3].split()[1] == "-"


def test_one_service_with_the_checks_of_its_nodes(cli: Any, stub: Any) -> None:
    stub.answer("health/state/any", CHECKS)
    stub.answer("health/service/web", [{"Checks": [CHECKS[0], CHECKS[1]]}])
    rows = json.loads(cli("health -format=json web").out)
    assert [row["CheckID"] for row in rows] == ["c1", "serfHealth"]
    stub.answer("health/service/none", [])
    ran = cli("health none")
    assert (ran.status, ran.err.split(";")[0]) == (1, "No service none is registered")


@pytest.mark.parametrize(("count", "status"), [(1, 0), (2, 2), (3, 2)])
def test_the_exit_code_can_tell(cli: Any, stub: Any, count: int, status: int) -> None:
    stub.answer("health/state/any", CHECKS[:count])
    assert cli("health -exit-code").status == status
    assert cli("health").status == 0


def test_no_checks_is_said(cli: Any, stub: Any) -> None:
    stub.answer("health/state/any", [])
    ran = cli("health -filter Status==zork -exit-code")
    assert (ran.status, ran.out) == (0, "No checks match.\n")
    assert stub.last.query == {"filter": "Status==zork"}

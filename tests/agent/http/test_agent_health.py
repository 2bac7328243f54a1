"""Surface rows A8, A9: the health of instances on this host, and the HTTP code that tells it."""

import pytest

from meshagent.agent.http.agent_health import aggregated
from meshagent.catalog.model import Check


@pytest.mark.parametrize(
    ("statuses", "worst"),
    [
        ([], "passing"),
        (["passing", "warning"], "warning"),
        (["critical", "warning"], "critical"),
        (["critical", "_node_maintenance"], "maintenance"),
        (["_service_maintenance:x", "passing"], "maintenance"),
    ],
)
def test_the_worst_counts(statuses, worst):
    checks = [
        Check(check_id=word, status="critical") if word.startswith("_") else Check(check_id="c", status=word)
        for word in statuses
    ]
    assert aggregated(checks) == worst


async def test_a8_a9_status_code_reason_and_both_forms(live):
    for name in ("w1", "w2"):
        check = {"CheckID": name, "TTL": "1h", "Status": "passing"}
        await live.put("/v1/agent/service/register", {"ID": name, "Name": "web", "Check": check})
    answer = await live.ask("GET", "/v1/agent/health/service/name/web")
    assert (answer.status, answer.headers["x-consul-reason"], len(answer.json)) == (200, "passing", 2)
    await live.put("/v1/agent/check/warn/w2")
    answer = await live.ask("GET", "/v1/agent/health/service/name/web?format=text")
    assert (answer.status, answer.text, answer.headers["content-type"]) == (429, "warning", "text/plain")
    assert (await live.ask("GET", "/v1/agent/health/service/id/w1")).status == 200
    await live.put("/v1/agent/maintenance?enable=1")
    answer = await live.ask("GET", "/v1/agent/health/service/id/w1", headers={"Accept": "text/plain; q=0.5"})
    assert (answer.status, answer.text) == (503, "maintenance")
    answer = await live.ask("GET", "/v1/agent/health/service/id/w1")
    assert [check["CheckID"] for check in answer.json["Checks"]] == ["w1", "_node_maintenance"]


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("name/zz?format=text", 404, "ServiceName zz Not Found"),
        ("name/zz", 404, "[]"),
        ("id/zz?format=text", 404, "ServiceId zz not found"),
        ("id/zz", 404, '{"AggregatedStatus":"critical","Service":null,"Checks":null}'),
        ("name/", 500, "Missing service Name"),
        ("id/", 500, "Missing serviceID"),
    ],
)
async def test_what_is_not_there(live, path, status, text):
    answer = await live.ask("GET", f"/v1/agent/health/service/{path}")
    assert (answer.status, answer.text) == (status, text)

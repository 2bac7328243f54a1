"""Registrations of files (surface rows G4, G24)."""

from meshagent.agent.definitions import CheckDefinition, ServiceCheck, ServiceDefinition
from meshagent.agent.file_registrations import apply_files
from meshagent.agent.local import LocalState
from meshagent.clock import VirtualClock


def local() -> LocalState:
    return LocalState(node_name="n1", datacenter="dc1", clock=VirtualClock())


def web(**fields) -> ServiceDefinition:
    return ServiceDefinition(name="web", port=80, **fields)


def test_what_a_file_no_longer_names_goes_and_the_rest_stays():
    state = local()
    state.add_service(ServiceDefinition(name="api", port=1))
    apply_files(state, [web(), ServiceDefinition(name="db", port=2)], [CheckDefinition(name="disk", ttl=10.0)])
    assert set(state.services) == {"api", "web", "db"}
    apply_files(state, [web()], [])
    assert set(state.services) == {"api", "web"}
    assert set(state.checks) == set()


def test_a_check_that_stays_keeps_its_result():
    state = local()
    definition = web(checks=(ServiceCheck(name="c", ttl=10.0),))
    apply_files(state, [definition], [])
    [check_id] = state.checks
    state.update_check(check_id, "passing", "fine")
    apply_files(state, [definition], [])
    assert state.checks[check_id].check.status == "passing"
    apply_files(state, [web()], [])
    assert state.checks == {}


def test_one_bad_registration_stops_no_other():
    state = local()
    problems = apply_files(
        state, [ServiceDefinition(name=""), web()], [CheckDefinition(name="c", ttl=1.0, service_id="gone")]
    )
    assert set(state.services) == {"web"}
    assert len(problems) == 2
    assert "'c' is not registered: ServiceID" in problems[1]

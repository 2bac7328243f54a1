import asyncio

import pytest
from meshtest.peers import program

from meshagent.agent.checks.os_service import SystemBus, judge, prepare
from meshagent.agent.checks.probe import Outcome, ProbeFailed


@pytest.mark.parametrize(
    ("state", "status", "output"),
    [
        (("active", "running"), "passing", 'Service "x" is healthy'),
        (("active", "exited"), "passing", 'Service "x" is healthy'),
        (("inactive", "dead"), "critical", 'Service "x" is inactive (dead)'),
        (("failed", "failed"), "critical", 'Service "x" is failed (failed)'),
        (("activating", "auto-restart"), "warning", 'Service "x" is activating (auto-restart)'),
        (("deactivating", "stop-sigterm"), "warning", 'Service "x" is deactivating (stop-sigterm)'),
    ],
)
def test_states(state, status, output):
    """K18"""
    assert judge("x", state) == Outcome(status, output)


async def test_the_probe_asks_for_its_unit(define, make_tools):
    async def states(unit):
        assert unit == "nginx.service"
        return "active", "running"

    outcome = await prepare(define("os_service", os_service="nginx.service"), make_tools(unit_states=states))()
    assert outcome == Outcome("passing", 'Service "nginx.service" is healthy')


async def test_trouble_in_asking_warns(define, make_tools):
    """K18"""

    async def fails(unit):
        raise ProbeFailed("no bus")

    async def hangs(unit):
        await asyncio.Event().wait()

    definition = define("os_service", os_service="x", timeout=0.02)
    assert await prepare(definition, make_tools(unit_states=fails))() == Outcome("warning", "no bus")
    assert await prepare(definition, make_tools(unit_states=hangs))() == Outcome(
        "warning", 'Service "x": systemd did not answer in time'
    )


async def test_no_bus_at_all(tmp_path):
    with pytest.raises(ProbeFailed, match="cannot ask systemd about x"):
        await SystemBus(f"unix:path={tmp_path}/nothing")("x")


@pytest.fixture
async def bus(tmp_path):
    """A message bus of our own; gives its address and a way to end it."""
    daemon = program("dbus-daemon")
    config = tmp_path / "bus.conf"
    config.write_text(
        f"<busconfig><type>session</type><listen>unix:path={tmp_path}/bus</listen><policy context='default'>"
        "<allow send_destination='*'/><allow own='*'/><allow eavesdrop='true'/></policy></busconfig>"
    )
    process = await asyncio.create_subprocess_exec(
        daemon, f"--config-file={config}", "--nofork", "--print-address=1", stdout=asyncio.subprocess.PIPE
    )
    address = (await process.stdout.readline()).decode().strip()
    yield address, process
    if process.returncode is None:
        process.kill()
    await process.wait()


async def fake_systemd(address):
    """org.freedesktop.systemd1 with two units."""
    from dbus_fast.aio import MessageBus
    from dbus_fast.service import ServiceInterface, dbus_method

    class Manager(ServiceInterface):
        @dbus_method()
        def ListUnitsByNames(self, names: "as") -> "a(ssssssouso)":  # noqa: F722, F821
            known = {"nginx.service": ("active", "running"), "bad.service": ("failed", "failed")}
            rows = []
            for name in names:
                active, sub = known.get(name, ("inactive", "dead"))
                loaded = "loaded" if name in known else "not-found"
                rows.append([name, "", loaded, active, sub, "", "/unit", 0, "", "/"])
            return rows

    connection = await MessageBus(bus_address=address).connect()
    connection.export("/org/freedesktop/systemd1", Manager("org.freedesktop.systemd1.Manager"))
    await connection.request_name("org.freedesktop.systemd1")
    return connection


async def test_over_a_real_bus(bus, define, make_tools):
    """K18, with dbus-daemon and a service that answers as systemd does."""
    address, _ = bus
    systemd = await fake_systemd(address)
    states = SystemBus(address)
    tools = make_tools(unit_states=states)

    async def ask(unit):
        return await prepare(define("os_service", os_service=unit), tools)()

    assert await ask("nginx.service") == Outcome("passing", 'Service "nginx.service" is healthy')
    assert (await ask("nginx")).status == "passing"
    assert (await ask("bad.service")).status == "critical"
    assert (await ask("nowhere.service")).status == "critical"
    systemd.disconnect()
    await systemd.wait_for_disconnect()
    gone = await ask("nginx.service")
    assert gone.status == "warning"
    assert gone.output.startswith("systemd does not tell about nginx.service: ")
    systemd = await fake_systemd(address)
    assert (await ask("nginx.service")).status == "passing"
    states.close()
    systemd.disconnect()


async def test_a_bus_that_ends_warns(bus, define, make_tools):
    address, process = bus
    systemd = await fake_systemd(address)
    states = SystemBus(address)
    probe = prepare(define("os_service", os_service="nginx.service"), make_tools(unit_states=states))
    assert (await probe()).status == "passing"
    process.kill()
    await process.wait()
    assert (await probe()).status == "warning"
    assert (await probe()).status == "warning"
    states.close()
    systemd.disconnect()

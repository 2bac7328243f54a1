"""What the tests of probes share: definitions, tools, and both event loops a daemon may run on."""

import asyncio
import json
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from types import SimpleNamespace

import pytest
import uvloop

from meshagent.agent.checks.dial import Dialer
from meshagent.agent.checks.probe import CheckSettings, ProbeFailed, Tools
from meshagent.agent.checks.tls import TlsContexts
from meshagent.agent.definitions import CheckDefinition
from meshagent.clock import SystemClock, Tasks


@pytest.fixture
def define():
    """A definition of a kind, with an interval and a timeout unless given."""

    def make(kind, **fields):
        timed = {} if kind in ("ttl", "alias") else {"interval": 10.0, "timeout": 5.0}
        definition = CheckDefinition(**{**timed, **fields})
        assert definition.kind == kind
        return definition

    return make


@pytest.fixture(scope="session")
def golden_output():
    """The output that a real Consul showed for a check of the scenario agent-checks (its last, or the `nth`)."""
    golden = Path(__file__).parents[2] / "data/golden/http/agent-checks.json"
    steps = json.loads(golden.read_text())["steps"]

    def find(check_id, nth=-1):
        answers = [step.get("response", {}).get("json") for step in steps]
        return [rows[check_id]["Output"] for rows in answers if isinstance(rows, dict) and check_id in rows][nth]

    return find


def pytest_asyncio_loop_factories(config, item):
    """Tests of the edges run on both loops; they differ in what transports are and in which errors they raise."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


async def no_units(unit):
    raise ProbeFailed("no systemd in this test")


@pytest.fixture
async def make_tools():
    """Tools over the real network; `lookup` stands in for the resolver."""
    tasks = Tasks()

    def make(*, lookup=None, unit_states=no_units, **settings):
        configured = CheckSettings(**settings)
        dialer = Dialer(clock=SystemClock(), tasks=tasks, tls=TlsContexts(configured.agent_tls), lookup=lookup)
        return Tools(dialer, unit_states, configured)

    yield make
    await tasks.cancel()


@pytest.fixture
def tools(make_tools):
    return make_tools()


@pytest.fixture
def refused_port():
    """A port of 127.0.0.1 that nobody listens on: bound, so that nobody else takes it."""
    import socket

    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """A CA, and a certificate for 127.0.0.1 and web.example signed by it: paths ca, cert, key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    folder = tmp_path_factory.mktemp("tls")
    now = datetime.now(UTC)

    def name(text):
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    def write(file, text):
        (folder / file).write_bytes(text)
        return str(folder / file)

    def issue(subject, key, issuer, issuer_key, *, ca, names=(), until=now + timedelta(days=1)):
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(name(issuer))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=2))
            .not_valid_after(until)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(issuer_key, hashes.SHA256())

    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    pem = serialization.Encoding.PEM
    names = [x509.DNSName("web.example"), x509.IPAddress(ip_address("127.0.0.1"))]
    ca = issue("ca", ca_key, "ca", ca_key, ca=True)
    good = issue("web.example", key, "ca", ca_key, ca=False, names=names)
    old = issue("web.example", key, "ca", ca_key, ca=False, names=names, until=now - timedelta(days=1))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return SimpleNamespace(
        ca=write("ca.pem", ca.public_bytes(pem)),
        cert=write("cert.pem", good.public_bytes(pem)),
        expired=write("expired.pem", old.public_bytes(pem)),
        key=write("key.pem", private),
    )


@pytest.fixture
def server_tls(certificates):
    """A server's context; `alpn` and `client_ca` as given."""

    def make(*, alpn=(), client_ca=False, cert=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert or certificates.cert, certificates.key)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        if client_ca:
            context.load_verify_locations(certificates.ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    return make


@pytest.fixture
async def serve():
    """Start a stream server with a handler of (reader, writer); gives its port."""
    servers = []
    handlers = set()

    async def start(handler, **options):
        async def handle(reader, writer):
            handlers.add(asyncio.current_task())
            try:
                await handler(reader, writer)
            except (OSError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0, **options)
        servers.append(server)
        return server.sockets[0].getsockname()[1]

    yield start
    for server in servers:
        server.close()
    for handler in handlers:
        handler.cancel()
    await asyncio.gather(*handlers, return_exceptions=True)

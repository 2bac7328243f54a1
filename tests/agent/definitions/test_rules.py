from __future__ import annotations

import pytest

from meshagent.agent.definitions import multierror, service_problems
from meshagent.catalog.model import Connect, Expose, ExposePath, Locality, Proxy, Service, Upstream


def _proxy(*upstreams: Upstream, paths: tuple[ExposePath, ...] = ()) -> Service:
    proxy = Proxy(destination_service_name="a", upstreams=upstreams, expose=Expose(paths=paths))
    return Service(name="p", kind="connect-proxy", port=1, proxy=proxy)


@pytest.mark.parametrize(
    ("service", "problem"),
    [
        (_proxy(Upstream(destination_name="*", local_bind_port=1)), "upstream destination name cannot be a wildcard"),
        (
            _proxy(Upstream(destination_name="b", local_bind_port=1, destination_peer="p", datacenter="dc2")),
            "upstream cannot specify both destination peer and datacenter",
        ),
        (
            _proxy(Upstream(destination_name="b", local_bind_port=1, local_bind_socket_path="/x")),
            "only one of upstream local bind port or local socket path can be defined and nonzero",
        ),
        (
            _proxy(
                Upstream(destination_name="b", local_bind_port=1), Upstream(destination_name="b", local_bind_port=2)
            ),
            'upstreams cannot contain duplicates of [type="service", name="b", peer="", datacenter=""]',
        ),
        (
            _proxy(
                Upstream(destination_name="b", local_bind_port=1, local_bind_address="::1"),
                Upstream(destination_name="c", local_bind_port=1, local_bind_address="::1"),
            ),
            "upstreams cannot contain duplicates by local bind address and port or unix path; "
            '"[::1]:1" is specified twice',
        ),
        (_proxy(paths=(ExposePath(listener_port=5),)), "expose.paths: empty path exposed"),
        (
            _proxy(paths=(ExposePath(path="/a", listener_port=5), ExposePath(path="/a", listener_port=6))),
            "expose.paths: duplicate paths exposed",
        ),
        (
            _proxy(paths=(ExposePath(path="/a", listener_port=5), ExposePath(path="/b", listener_port=5))),
            "expose.paths: duplicate listener ports exposed",
        ),
        (
            _proxy(paths=(ExposePath(path="/a", listener_port=5, protocol="tcp"),)),
            "protocol 'tcp' not supported for path: /a, must be in: [http http2]",
        ),
        (Service(name="a", locality=Locality(zone="z")), "zone cannot be set without region"),
        (
            Service(name="a", connect=Connect(native=True)),
            "Port or SocketPath must be set for a Connect native service.",
        ),
    ],
)
def test_each_rule_has_its_message(service: Service, problem: str) -> None:
    assert service_problems(service) == [problem]


def test_a_good_instance_has_no_problems() -> None:
    central = Upstream(destination_name="*", centrally_configured=True)
    assert service_problems(_proxy(Upstream(destination_name="b", local_bind_port=1), central)) == []
    assert service_problems(Service(name="g", kind="api-gateway")) == []
    assert service_problems(Service(name="k", kind="unheard-of")) == []


def test_several_errors_read_like_gos_multierror() -> None:
    assert multierror(["a"]) == "1 error occurred:\n\t* a\n\n"
    assert multierror(["a", "b"]) == "2 errors occurred:\n\t* a\n\t* b\n\n"

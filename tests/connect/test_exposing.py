"""Listeners for exposed paths, from a registration and from checks."""

from __future__ import annotations

from meshagent.catalog.model import Expose, ExposePath, Proxy, Service
from meshagent.connect.exposing import Exposed, exposed_of

METRICS = ExposePath(listener_port=27203, path="/metrics", local_path_port=18090)
HEALTH = ExposePath(listener_port=21500, path="/health", local_path_port=80, protocol="http", parsed_from_check=True)


def service(expose: Expose, **more: str) -> Service:
    proxy = Proxy(destination_service_name="web", local_service_port=80, expose=expose, **more)
    return Service(kind="connect-proxy", id="web-proxy", name="web-proxy", port=21000, proxy=proxy)


def test_paths_and_checks() -> None:
    found = exposed_of(service(Expose(checks=True, paths=(METRICS,))), "10.0.0.9", (HEALTH,), "10.0.0.5")
    assert found == (
        Exposed("10.0.0.9", 27203, "/metrics", "127.0.0.1", 18090),
        Exposed(
            "10.0.0.9", 21500, "/health", "127.0.0.1", 80,
            sources=("127.0.0.0/8", "::1/128", "10.0.0.5/32"),
        ),
    )  # fmt: skip


def test_checks_only_where_they_are_exposed() -> None:
    assert exposed_of(service(Expose(paths=(METRICS,))), "::", (HEALTH,), "::5")[1:] == ()


def test_the_applications_own_port_is_reached_where_the_application_is() -> None:
    path = ExposePath(listener_port=1, path="/a", local_path_port=80, protocol="HTTP2")
    given = service(Expose(paths=(path,)), local_service_address="10.1.1.1", local_service_socket_path="/s")
    assert exposed_of(given, "0.0.0.0") == (Exposed("0.0.0.0", 1, "/a", "10.1.1.1", 80, "/s", "http2"),)


def test_what_cannot_listen_is_left_out() -> None:
    paths = (METRICS, METRICS, ExposePath(path="/a", local_path_port=1), ExposePath(listener_port=5, local_path_port=1))
    assert len(exposed_of(service(Expose(paths=paths)), "0.0.0.0")) == 1

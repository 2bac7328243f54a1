import pytest

from meshagent.agent.checks.expose import expose_grpc, expose_http


@pytest.mark.parametrize(
    ("url", "address", "expected"),
    [
        ("http://127.0.0.1:8080/health?x=1", "10.0.0.5", "http://10.0.0.5:21500/health?x=1"),
        ("http://localhost", "10.0.0.5", "http://10.0.0.5:21500"),
        ("http://localhost/a:b", "10.0.0.5", "http://10.0.0.5:21500/a:b"),
        ("https://[::1]:8443/", "fd00::5", "https://[fd00::5]:21500/"),
        ("http://localhost?q", "[fd00::5]", "http://[fd00::5]:21500?q"),
        ("ftp://x", "10.0.0.5", "ftp://x"),
    ],
)
def test_http_targets(url, address, expected):
    """K21"""
    assert expose_http(url, address, 21500) == expected


def test_grpc_targets():
    """K21"""
    assert expose_grpc("127.0.0.1:9090/api.v1", "10.0.0.5", 21501) == "10.0.0.5:21501/api.v1"
    assert expose_grpc("localhost:9090", "fd00::5", 21501) == "[fd00::5]:21501"

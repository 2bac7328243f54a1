"""Readiness (surface row V1)."""

import socket

from meshagent.agent.systemd import notify


def test_lines_reach_the_socket(tmp_path):
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(path))
        assert notify({"NOTIFY_SOCKET": str(path)}, "READY=1", "STATUS=leading")
        assert server.recv(100) == b"READY=1\nSTATUS=leading"


def test_abstract_sockets():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind("\0meshagent-test-notify")
        assert notify({"NOTIFY_SOCKET": "@meshagent-test-notify"}, "READY=1")
        assert server.recv(100) == b"READY=1"


def test_nobody_listening_is_no_error(tmp_path, caplog):
    assert not notify({}, "READY=1")
    assert not notify({"NOTIFY_SOCKET": str(tmp_path / "gone")}, "READY=1")
    assert "cannot notify systemd" in caplog.text

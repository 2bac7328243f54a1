"""What is said when an address cannot be listened on (G11)."""

import errno
import socket

import pytest

from meshagent.listening import cannot_listen


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            OSError(errno.EADDRINUSE, "error while attempting to bind on address ('127.0.0.1', 80): address in use"),
            "address already in use: is another agent running? Stop it, or change ports.http",
        ),
        (
            OSError(errno.EADDRNOTAVAIL, "x"),
            "cannot assign requested address: this host does not have that address; change ports.http",
        ),
        (FileExistsError("/x exists and is not a socket"), "/x exists and is not a socket: change ports.http"),
        (
            socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
            "Name or service not known: change ports.http",
        ),
    ],
)
def test_what_cannot_be_listened_on_is_said_once_with_what_to_do(error, said):
    assert str(cannot_listen("ports.http", "127.0.0.1:80", error)) == (
        f"ports.http: cannot listen on 127.0.0.1:80: {said}"
    )

"""I/O edge: a session that lives as long as a command needs it: renewed beside it, destroyed at its end.

Source: surface rows E5, E10; developer.hashicorp.com/consul/api-docs/session. What may change here: the time to live.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from meshagent.agent.cli.client import ApiError, Client
from meshagent.errors import MeshError

__all__ = ["kept_session"]

TTL_S = 15


@contextlib.contextmanager
def kept_session(client: Client, name: str, behavior: str = "release") -> Iterator[str]:
    """The id of a session, until the end of the block. Raises MeshError when it cannot be made."""
    value = {"Name": name, "Behavior": behavior, "TTL": f"{TTL_S}s"}
    id = str(client.put("session/create", value=value).json()["ID"])
    over = threading.Event()

    def renew() -> None:
        while not over.wait(TTL_S / 2):
            try:
                client.put(f"session/renew/{id}")
            except ApiError as error:
                if error.status == 404:
                    return  # it is gone, which whoever watches its keys notices
            except MeshError:
                continue  # the next attempt is still in time

    threading.Thread(target=renew, daemon=True, name="session renewal").start()
    try:
        yield id
    finally:
        over.set()
        with contextlib.suppress(MeshError):
            client.put(f"session/destroy/{id}")

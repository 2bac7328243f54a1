"""What the commands of ACL objects share: a refusal in the words of the command, and finding, deleting and listing.

Source: surface rows CL14, CL15; developer.hashicorp.com/consul/commands/acl. What may change here: further kinds of
objects that are found by id or name, a value each.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from meshagent.agent.cli.acl_show import find_id
from meshagent.agent.cli.client import ApiError, Client
from meshagent.agent.cli.output import fail, say

__all__ = ["POLICY", "ROLE", "Kind", "asking"]


@contextmanager
def asking(otherwise: str) -> Iterator[None]:
    """What the agent refuses inside ends the command: `otherwise`, and the agent's reason."""
    try:
        yield
    except ApiError as error:
        raise fail(f"{otherwise}: {error}") from None


class Kind(NamedTuple):
    """Objects with an id of the cluster's and a name of the user's."""

    word: str
    many: str

    def found(self, client: Client, id: str, name: str) -> dict[str, Any]:
        """The object of an id (or its beginning) or name. Raises ClickException."""
        if not id and not name:
            raise fail("Must specify either the -id or -name parameters")
        whole = find_id(client, self.many, "ID", id, self.word) if id else f"name/{name}"
        with asking(f"Error reading {self.word} {id or name!r}"):
            row: dict[str, Any] = client.get(f"acl/{self.word}/{whole}")
        return row

    def delete(self, client: Client, id: str, name: str) -> None:
        """Delete it, and say so. Raises ClickException."""
        found = self.found(client, id, name)["ID"]
        with asking(f'Error deleting {self.word} "{found}"'):
            client.request("DELETE", f"acl/{self.word}/{found}")
        say(f'{self.word.title()} "{found}" deleted successfully')

    def rows(self, client: Client) -> list[dict[str, Any]]:
        """All of them. Raises ClickException."""
        with asking(f"Failed to retrieve the {self.word} list"):
            rows: list[dict[str, Any]] = client.get(f"acl/{self.many}")
        return rows


POLICY = Kind("policy", "policies")
ROLE = Kind("role", "roles")

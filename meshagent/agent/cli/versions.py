"""The versions of a key or config entry as commands show and choose them.

Source: ours (`/v1/history/`). A version is named by its ModifyIndex. What may change here: columns may be added at the
end of the table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from meshagent.agent.cli.client import Client
from meshagent.agent.cli.output import fail, show_json, show_table

__all__ = ["author_of", "chosen", "list_versions", "versions_of"]


def versions_of(client: Client, path: str, what: str) -> list[dict[str, Any]]:
    """All versions, oldest first. `what` is how the thing is called when there are none."""
    answer = client.request("GET", f"history/{path}", accept=(200, 404))
    if answer.status == 404:
        raise fail(f"Error! {answer.body.decode('utf-8', 'replace').strip()}")
    found: list[dict[str, Any]] = answer.json()
    if not found:
        raise fail(f"Error! No versions of {what} are kept: it has not changed since history.versions is set")
    return found


def chosen(versions: Sequence[dict[str, Any]], number: int, what: str) -> dict[str, Any]:
    """The version of that number. Raises when it is not kept."""
    for version in versions:
        if version["Version"] == number:
            return version
    kept = ", ".join(str(version["Version"]) for version in versions)
    raise fail(f"Error! There is no version {number} of {what}; there are {kept}")


def author_of(version: dict[str, Any]) -> str:
    """Who wrote it, for a person."""
    token = version["TokenDescription"] or version["AccessorID"]
    return f"{token} at {version['Agent']}" if token else version["Agent"] or "-"


def list_versions(
    versions: list[dict[str, Any]], format: str, detail: tuple[str, Callable[[dict[str, Any]], str]]
) -> None:
    """Print them: columns, or `-format=json`. `detail` is the heading and the content of one more column."""
    if format == "json":
        show_json(versions)
        return
    if format not in ("", "pretty"):
        raise fail(f"Invalid format: {format}, valid formats are 'pretty' and 'json'")
    heading, content = detail
    rows = [("Version", "Time", "Author", heading)]
    for version in versions:
        shown = "deleted" if version["Deleted"] else content(version)
        rows.append((str(version["Version"]), version["Time"] or "-", author_of(version), shown))
    show_table(rows)

"""The old form by id (surface row CN5): what the golden scenario does not show."""

from __future__ import annotations

from typing import Any

import pytest
from meshtest.inprocess import InProcess

ONE = {"SourceName": "web", "DestinationName": "db", "Action": "allow"}


async def test_a_second_one_of_the_same_names_is_refused(live: InProcess) -> None:
    first = await live.ask("POST", "/v1/connect/intentions", ONE)
    assert first.status == 200
    again = await live.ask("POST", "/v1/connect/intentions", ONE)
    assert (again.status, again.text) == (500, "duplicate intention found: web => db")
    other = await live.ask("POST", "/v1/connect/intentions", {**ONE, "SourceName": "api"})
    listed = await live.get("/v1/connect/intentions")
    assert {one["ID"] for one in listed} == {first.json["ID"], other.json["ID"]}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({**ONE, "SourceName": ""}, "1 error occurred:\n\t* SourceName must be set\n\n"),
        (
            {**ONE, "Permissions": [{}], "Action": "x"},
            "2 errors occurred:\n\t* Permissions must not be set\n\t* Action must be set to 'allow' or 'deny'\n\n",
        ),
    ],
)
async def test_what_is_refused(live: InProcess, body: dict[str, Any], text: str) -> None:
    answer = await live.ask("POST", "/v1/connect/intentions", body)
    assert (answer.status, answer.text) == (500, text)


async def test_the_destination_cannot_be_changed(live: InProcess) -> None:
    made = (await live.ask("POST", "/v1/connect/intentions", ONE)).json["ID"]
    moved = await live.ask("PUT", f"/v1/connect/intentions/{made}", {**ONE, "DestinationName": "x"})
    assert (moved.status, moved.text.startswith("Cannot modify DestinationName")) == (500, True)


async def test_the_new_form_ends_the_old_one(live: InProcess) -> None:
    made = (await live.ask("POST", "/v1/connect/intentions", ONE)).json["ID"]
    await live.put("/v1/connect/intentions/exact?source=api&destination=db", {"Action": "deny"})
    refused = await live.ask("PUT", f"/v1/connect/intentions/{made}", ONE)
    assert refused.text.startswith("cannot use legacy intention API")

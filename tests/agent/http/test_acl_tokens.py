"""What only these endpoints show of tokens (AC7); conformance replays every verb and error."""

from __future__ import annotations

from typing import Any

import pytest
from meshtest.inprocess import MANAGER, InProcess


@pytest.mark.parametrize("policies", [[], [{"Name": "global-management"}]], ids=["nothing", "everything"])
async def test_a_token_sees_itself_and_none_that_may_do_the_same(guarded: InProcess, policies: Any) -> None:
    """Answers are kept by what a token may see; this one is about the token itself, and holds its secret."""
    made = [(await guarded.put("/v1/acl/token", {"Description": name, "Policies": policies})).json for name in "ab"]
    for _ in range(2):
        for row in made:
            for query in ("", "?stale", "?cached"):
                headers = {"X-Consul-Token": row["SecretID"]}
                told = (await guarded.ask("GET", f"/v1/acl/token/self{query}", headers=headers)).json
                assert (told["AccessorID"], told["SecretID"]) == (row["AccessorID"], row["SecretID"])


async def test_tokens_are_listed_by_one_filter_at_a_time(guarded: InProcess) -> None:
    answer = await guarded.ask(
        "GET", "/v1/acl/tokens?servicename=web&authmethod=jwt", headers={"X-Consul-Token": MANAGER}
    )
    assert (answer.status, "can only filter by one of" in answer.text) == (500, True)

from meshtest.inprocess import InProcess

NOBODY = "11111111-2222-4333-8444-555555555555"


async def test_ac20_suggesting_for_a_token_that_does_not_exist_is_refused(guarded: InProcess) -> None:
    answer = await guarded.ask("GET", f"/v1/acl/suggest/{NOBODY}")
    assert (answer.status, answer.text) == (404, f"there is no token with the AccessorID {NOBODY}")
    accessor, _ = await guarded.token('key "a" { policy = "read" }')
    assert (await guarded.get(f"/v1/acl/suggest/{accessor}"))["Accessor"] == accessor

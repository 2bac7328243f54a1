"""Surface rows A26-A28: not built yet, but the methods are right and the answer says so."""


async def test_methods_are_known_and_the_rest_is_not_built(live):
    assert (await live.ask("OPTIONS", "/v1/agent/connect/authorize")).headers["allow"] == "OPTIONS,POST"
    assert (await live.ask("POST", "/v1/agent/connect/authorize")).status == 501

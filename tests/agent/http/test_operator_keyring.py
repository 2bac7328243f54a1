"""OP7: the keyring over HTTP, on a server alone."""

from collections.abc import AsyncIterator

import pytest
from meshtest.inprocess import InProcess, server_config

OLD, NEW = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "AQIDBAUGBwgJCgsMDQ4PEA=="

FAILED = "1/1 nodes reported failure"
RANGE = "Invalid relay-factor: Relay factor must be in range: [0, 5]"


@pytest.fixture
async def sealed() -> AsyncIterator[InProcess]:
    agent = InProcess(config=server_config(encrypt=OLD))
    await agent.start()
    yield agent
    await agent.stop()


async def rings(agent: InProcess) -> list[tuple[bool, dict[str, int], dict[str, int], int]]:
    return [
        (ring["WAN"], ring["Keys"], ring["PrimaryKeys"], ring["NumNodes"])
        for ring in await agent.get("/v1/operator/keyring")
    ]


async def test_a_rotation(sealed: InProcess) -> None:
    assert await rings(sealed) == [(True, {OLD: 1}, {OLD: 1}, 1), (False, {OLD: 1}, {OLD: 1}, 1)]
    for method, key in (("POST", NEW), ("PUT", NEW), ("DELETE", OLD)):
        answer = await sealed.ask(method, "/v1/operator/keyring?relay-factor=3", {"Key": key})
        assert (answer.status, answer.body) == (200, b"")
    assert await rings(sealed) == [(True, {NEW: 1}, {NEW: 1}, 1), (False, {NEW: 1}, {NEW: 1}, 1)]
    local = await sealed.get("/v1/operator/keyring?local-only=true")
    assert [ring["WAN"] for ring in local] == [False]


def both(problem: str, words: str) -> str:
    return (
        f"4 errors occurred:\n\t* WAN error: {problem}\n\t* n1.dc1: {words}\n"
        f"\t* dc1 (LAN) error: {problem}\n\t* n1: {words}\n\n"
    )


@pytest.mark.parametrize(
    ("method", "path", "value", "status", "text"),
    [
        ("DELETE", "", {"Key": OLD}, 500, both(FAILED, "Removing the primary key is not allowed")),
        ("PUT", "", {"Key": NEW}, 500, both(FAILED, "Requested key is not in the keyring")),
        ("POST", "", {"Key": "AAAA"}, 500, both(FAILED, "key size must be 16, 24 or 32 bytes")),
        (
            "POST", "", {"Key": "not base64"}, 500,
            "2 errors occurred:\n\t* WAN error: illegal base64 data at input byte 3\n"
            "\t* dc1 (LAN) error: illegal base64 data at input byte 3\n\n",
        ),
        ("GET", "?relay-factor=6", None, 400, RANGE),
        ("GET", "?relay-factor=-1", None, 400, RANGE),
        ("GET", "?relay-factor=" + "9" * 5000, None, 400, RANGE),
        (
            "GET", "?relay-factor=x", None, 400,
            'Error parsing relay factor: strconv.Atoi: parsing "x": invalid syntax',
        ),
        (
            "GET", "?local-only=zz", None, 400,
            'Error parsing local-only: strconv.ParseBool: parsing "zz": invalid syntax',
        ),
        (
            "PUT", "?local-only=true", {"Key": OLD}, 400,
            "Invalid use of local-only: local-only can only be set for list requests",
        ),
    ],
)  # fmt: skip
async def test_refusals(sealed: InProcess, method: str, path: str, value: object, status: int, text: str) -> None:
    answer = await sealed.ask(method, f"/v1/operator/keyring{path}", value)
    assert (answer.status, answer.text) == (status, text)


async def test_a_pool_in_plain_text(live: InProcess) -> None:
    empty = both(FAILED, "Keyring is empty (encryption not enabled)")
    assert (await live.ask("GET", "/v1/operator/keyring")).text == empty
    none = both(FAILED, "No keyring to modify (encryption not enabled)")
    assert (await live.ask("POST", "/v1/operator/keyring", {"Key": NEW})).text == none

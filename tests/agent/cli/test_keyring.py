import json
from typing import Any

import pytest

RINGS = [
    {
        "WAN": True, "Datacenter": "dc1", "Segment": "",
        "Keys": {"aa=": 1, "bb=": 1}, "PrimaryKeys": {"aa=": 1}, "NumNodes": 1,
    },
    {
        "WAN": False, "Datacenter": "dc1", "Segment": "", "Messages": {"n2": "cut"},
        "Keys": {"aa=": 2}, "PrimaryKeys": {"aa=": 2}, "NumNodes": 3,
    },
]  # fmt: skip


def test_keys_are_listed_by_pool(cli: Any, stub: Any) -> None:  # CL11
    stub.answer("operator/keyring", RINGS)
    ran = cli("keyring -list -relay-factor=2 -local-only")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out == (
        "==> Gathering installed encryption keys...\n\nWAN:\n  aa= [1/1]\n  bb= [1/1]\n\n"
        "dc1 (LAN):\n  ===> n2: cut\n  aa= [2/3]\n"
    )
    assert stub.last.query == {"relay-factor": "2", "local-only": "true"}
    assert "bb=" not in cli("keyring -list-primary").out
    assert json.loads(cli("keyring -list -format=json").out) == RINGS


@pytest.mark.parametrize(
    ("flag", "method", "words"),
    [
        ("install", "POST", "Installing new gossip encryption key..."),
        ("use", "PUT", "Changing primary gossip encryption key..."),
        ("remove", "DELETE", "Removing gossip encryption key..."),
    ],
)
def test_keys_are_changed(cli: Any, stub: Any, flag: str, method: str, words: str) -> None:
    stub.answer("operator/keyring", b"", method=method)
    ran = cli(f"keyring -{flag}=aa=")
    assert (ran.status, ran.out, ran.err) == (0, f"==> {words}\n", "")
    assert (stub.last.method, stub.last.json) == (method, {"Key": "aa="})


def test_a_refusal_is_shown(cli: Any, stub: Any) -> None:
    stub.answer("operator/keyring", b"1 error occurred", method="PUT", status=500)
    ran = cli("keyring -use=aa=")
    assert ran.status == 1
    assert ran.err == "error: Unexpected response code: 500 (1 error occurred)\n"
    assert cli("keyring -list").status == 1


@pytest.mark.parametrize(
    "line",
    [
        "keyring",
        "keyring -list -list-primary",
        "keyring -list -use=a",
        "keyring -list -relay-factor=6",
        "keyring -use=a -local-only",
        "keyring -list x",
    ],
)
def test_wrong_words_are_named(cli: Any, stub: Any, line: str) -> None:
    ran = cli(line)
    assert (ran.status, stub.asked) == (1, [])
    assert ran.err

from typing import Any

import pytest


@pytest.mark.parametrize(
    ("words", "path", "query", "out"),
    [
        (
            ("-enable", "-reason=two words"),
            "agent/maintenance",
            {"enable": "true", "reason": "two words"},
            "Node maintenance is now enabled\n",
        ),
        (("-disable",), "agent/maintenance", {"enable": "false"}, "Node maintenance is now disabled\n"),
        (
            ("-enable", "-service=web"),
            "agent/service/maintenance/web",
            {"enable": "true"},
            'Service maintenance is now enabled for "web"\n',
        ),
    ],
)
def test_maintenance_is_switched(
    cli: Any, stub: Any, words: tuple[str, ...], path: str, query: dict[str, str], out: str
) -> None:  # CL9
    stub.answer(path, b"", method="PUT")
    assert cli("maint", *words).out == out
    assert stub.last.query == query


def test_what_is_in_maintenance_is_shown(cli: Any, stub: Any) -> None:  # CL9
    stub.answer("agent/self", {"Config": {"NodeName": "n1"}})
    stub.answer(
        "agent/checks",
        {
            "_node_maintenance": {"Notes": "disk", "ServiceID": ""},
            "_service_maintenance:web": {"Notes": "new release", "ServiceID": "web"},
            "other": {"Notes": "", "ServiceID": ""},
        },
    )
    assert cli("maint").out == (
        "Node:\n  Name:   n1\n  Reason: disk\n\nService:\n  ID:     web\n  Reason: new release\n\n"
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("maint -enable -disable", "Only one of -enable or -disable may be provided\n"),
        ("maint -reason=x", "Reason may only be provided with -enable\n"),
        ("maint -service=x", "-service requires either -enable or -disable\n"),
    ],
)
def test_misuse_is_explained(cli: Any, stub: Any, line: str, message: str) -> None:
    ran = cli(line)
    assert (ran.status, ran.err, stub.asked) == (1, message, [])

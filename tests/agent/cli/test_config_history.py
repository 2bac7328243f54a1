from typing import Any


def version(number: int, protocol: str | None) -> dict[str, Any]:
    entry = {"Kind": "service-defaults", "Name": "web", "Protocol": protocol, "ModifyIndex": number, "Hash": 1}
    return {
        "Version": number, "Time": "2026-01-01T00:00:00.000Z", "AccessorID": "", "TokenDescription": "", "Agent": "n1",
        "Deleted": protocol is None, "Entry": entry if protocol else None,
    }  # fmt: skip


WEB = "-kind service-defaults -name web"
ROWS = [version(2, "http"), version(5, "grpc"), version(9, None)]


def test_history(cli: Any, stub: Any) -> None:
    stub.answer("history/config/service-defaults/web", ROWS)
    assert cli(f"config history {WEB}").out.splitlines() == [
        "Version  Time                      Author  Fields",
        "2        2026-01-01T00:00:00.000Z  n1      Protocol",
        "5        2026-01-01T00:00:00.000Z  n1      Protocol",
        "9        2026-01-01T00:00:00.000Z  n1      deleted",
    ]
    assert cli("config history -kind x").err == "Must specify the -name parameter\n"


def test_diff_is_what_diff_u_shows(cli: Any, stub: Any) -> None:
    stub.answer("history/config/service-defaults/web", ROWS)
    out = cli(f"config diff {WEB} -to 5").out.splitlines()
    assert out[0] == "--- service-defaults/web version 2\t2026-01-01T00:00:00.000Z n1"
    assert [line for line in out[2:] if line[0] in "+-"] == ['-  "Protocol": "http"', '+  "Protocol": "grpc"']
    gone = cli(f"config diff {WEB} -from 2").out.splitlines()
    assert gone[1].startswith("+++ service-defaults/web version 9")
    assert all(line.startswith("-") for line in gone[3:])
    made = cli(f"config diff {WEB} -to 2").out.splitlines()
    assert made[0].startswith("--- /dev/null")
    assert cli(f"config diff {WEB} -from 7").status == 1


def test_rollback(cli: Any, stub: Any) -> None:
    stub.answer("history/config/service-defaults/web", ROWS)
    stub.answer("config/service-defaults/web", b"", status=404)
    stub.answer("config", True, method="PUT")
    assert cli(f"config rollback {WEB} -version 2").status == 0
    assert stub.last.query == {"cas": "0"}
    assert stub.last.json == {"Kind": "service-defaults", "Name": "web", "Protocol": "http"}
    stub.answer("config/service-defaults/web", {"ModifyIndex": 12})
    stub.answer("config/service-defaults/web", False, method="DELETE")
    ran = cli(f"config rollback {WEB} -version 9")
    assert (ran.status, ran.err) == (1, "Config entry not rolled back: service-defaults/web was changed meanwhile\n")
    stub.answer("config", b"no", method="PUT", status=500)
    assert "Error rolling back" in cli(f"config rollback {WEB} -version 2").err
    assert "-version" in cli(f"config rollback {WEB}").err

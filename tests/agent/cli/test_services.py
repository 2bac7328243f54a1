import io
from pathlib import Path
from typing import Any

import pytest

HCL = """
service {
  name = "web"
  port = 80
  tags = ["a"]
  enable_tag_override = true
  token = "secret"
  check { http = "http://127.0.0.1/" interval = "10s" }
}
service { id = "api-1" name = "api" }
"""


@pytest.fixture
def registered(stub: Any) -> Any:
    stub.answer("agent/service/register", b"", method="PUT")
    return stub


def test_files_are_registered(cli: Any, registered: Any, tmp_path: Path) -> None:  # CL8
    (tmp_path / "s.hcl").write_text(HCL)
    ran = cli(f"services register {tmp_path}/s.hcl")
    assert (ran.status, ran.out, ran.err) == (0, "Registered service: web\nRegistered service: api\n", "")
    web, api = (asked.json for asked in registered.asked)
    assert web["Name"] == "web"
    assert (web["Port"], web["Tags"], web["EnableTagOverride"]) == (80, ["a"], True)
    assert web["Check"]["HTTP"] == "http://127.0.0.1/"
    assert web["Check"]["Interval"] == "10s"
    assert "Token" not in web
    assert api == {"ID": "api-1", "Name": "api"}


def test_json_files_and_standard_input_too(
    cli: Any, registered: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # CL8
    (tmp_path / "s.json").write_text('{"service": {"name": "one"}, "services": [{"Name": "two"}]}')
    assert cli(f"services register {tmp_path}/s.json").out == "Registered service: one\nRegistered service: two\n"
    monkeypatch.setattr("sys.stdin", io.StringIO('service { name = "three" }'))
    assert cli("services register -").out == "Registered service: three\n"


def test_one_service_from_flags(cli: Any, registered: Any) -> None:  # CL8
    ran = cli(
        "services register -name web -id w1 -port 80 -address 10.0.0.1 -tag a -tag=b -meta k=v "
        "-tagged-address lan=10.0.0.1:81 -tagged-address wan=[::1]:82 -tagged-address v6=::1"
    )
    assert ran.out == "Registered service: web\n"
    assert registered.last.json == {
        "Name": "web",
        "ID": "w1",
        "Port": 80,
        "Address": "10.0.0.1",
        "Tags": ["a", "b"],
        "Meta": {"k": "v"},
        "TaggedAddresses": {
            "lan": {"Address": "10.0.0.1", "Port": 81},
            "wan": {"Address": "::1", "Port": 82},
            "v6": {"Address": "::1"},
        },
    }


def test_the_agents_refusal_names_the_service(cli: Any, stub: Any) -> None:
    stub.answer("agent/service/register", b"Invalid service address", method="PUT", status=400)
    ran = cli("services register -name web -address=0.0.0.0")
    assert (ran.status, ran.out) == (1, "")
    assert ran.err == 'Error registering service "web": Unexpected response code: 400 (Invalid service address)\n'


def test_services_are_deregistered_by_file_or_id(cli: Any, stub: Any, tmp_path: Path) -> None:  # CL8
    (tmp_path / "s.hcl").write_text(HCL)
    for service_id in ("web", "api-1"):
        stub.answer(f"agent/service/deregister/{service_id}", b"", method="PUT")
    ran = cli(f"services deregister {tmp_path}/s.hcl")
    assert ran.out == "Deregistered service: web\nDeregistered service: api-1\n"
    assert cli("services deregister -id=web").out == "Deregistered service: web\n"
    stub.answer("agent/service/deregister/zork", b'Unknown service ID "zork"', method="PUT", status=404)
    assert 'Error deregistering service "zork"' in cli("services deregister -id zork").err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("services register", "Service registration requires at least one argument or flags."),
        ("services register -name x y", "Service registration requires arguments or -name, not both."),
        ("services deregister", "Service deregistration requires at least one argument or -id."),
        ("services deregister -id x y", "Service deregistration requires arguments or -id, not both."),
        ("services deregister web", "there is no file web; a service is named with -id or -name"),
        ("services register -name x -port=y", "Invalid value for '--port'"),
        ("services register -name x -tagged-address lan=a:b", 'invalid value "a:b" for flag -tagged-address'),
    ],
)
def test_misuse_is_explained(cli: Any, stub: Any, line: str, message: str) -> None:
    ran = cli(line)
    assert (ran.status, ran.out, stub.asked) == (1, "", [])
    assert ran.err.startswith(message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("service { name = ", "s.hcl:1:"),
        (
            'service {\n  name = "a"\n  prot = 1\n}\nservice {\n  zork = 1\n  check { intervall = "1s" }\n}\n',
            "s.hcl:3:3: service[0]: invalid config key prot (did you mean 'port'?)",
        ),
        ("ports { http = 1 }", "defines no service"),
    ],
)
def test_a_bad_file_is_named_with_the_place(cli: Any, stub: Any, tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "s.hcl").write_text(content)
    ran = cli(f"services register {tmp_path}/s.hcl")
    assert (ran.status, stub.asked) == (1, [])
    assert str(tmp_path) in ran.err
    assert message in ran.err

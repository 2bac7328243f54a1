from __future__ import annotations

from meshagent.agent.config import Config, Host, assemble
from meshagent.agent.reload import Change, Rows, diff, effective
from meshagent.hcl import parse_hcl


def config(text: str) -> Config:
    source = parse_hcl('data_dir = "/d" bind_addr = "127.0.0.1"\n' + text, "a.hcl").root
    return assemble([source], host=Host("host", list)).config


OLD = config('service { name = "a" } service { name = "b" } check { name = "c" ttl = "1s" }')
NEW = config(
    'service { name = "b" port = 1 } service { name = "d" } log_level = "WARN" ports { http = 1 } '
    'acl { tokens { agent = "s3cret" } } dns_config { node_ttl = "5s" }'
)


def test_each_change_is_applied_or_waits_for_a_restart() -> None:
    """G4."""
    report = diff(OLD, NEW)
    assert set(report.applied) == {"services", "checks", "log_level", "acl.tokens.agent", "dns_config.node_ttl"}
    assert report.needs_restart == ("ports.http",)
    assert report.services == Rows(added=("d",), changed=("b",), removed=("a",))
    assert report.checks == Rows(removed=("c",))
    assert Change("log_level", '"INFO"', '"WARN"', applied=True) in report.changes
    assert report.lines() == [
        "service 'd' added",
        "service 'b' changed",
        "service 'a' removed",
        "check 'c' removed",
        "ports.http: 8500 -> 1; this needs a restart",
        "acl.tokens.agent: (empty) -> (hidden)",
        "dns_config.node_ttl: 0s -> 5s",
        'log_level: "INFO" -> "WARN"',
    ]


def test_what_holds_is_old_but_for_what_a_reload_takes() -> None:
    now = effective(OLD, NEW)
    assert now.ports.http == 8500
    assert now.network == OLD.network
    assert (now.log_level, now.dns_config.node_ttl, now.acl.tokens.agent) == ("WARN", 5.0, "s3cret")
    assert [service.name for service in now.services] == ["b", "d"]
    assert diff(now, NEW).applied == ()


def test_whom_we_trust_changes_only_when_somebody_asks() -> None:
    """G4: a reload because a file has changed leaves authorities and demands as they are."""
    new = config('tls { https { verify_incoming = true ca_file = "/ca.pem" cert_file = "/new.pem" key_file = "/k" } }')
    old = config('tls { https { cert_file = "/old.pem" key_file = "/k" } }')
    report = diff(old, new, asked=False)
    assert report.applied == ("tls.https.cert_file",)
    assert report.needs_restart == ()
    assert 'tls.https.ca_file: "" -> "/ca.pem"; this needs a reload by SIGHUP, `reload` or the API' in report.lines()
    followed = effective(old, new, asked=False)
    assert (followed.tls.https.cert_file, followed.tls.https.verify_incoming) == ("/new.pem", False)
    taken = effective(followed, new)
    assert (taken.tls.https.ca_file, taken.tls.https.verify_incoming) == ("/ca.pem", True)
    assert set(diff(followed, new).applied) == {"tls.https.ca_file", "tls.https.verify_incoming"}


def test_nothing_changed_says_so() -> None:
    assert diff(OLD, OLD).changes == ()
    assert diff(OLD, OLD).lines() == ["configuration is unchanged"]
    assert effective(OLD, OLD) == OLD

from __future__ import annotations

import ipaddress

from meshagent.agent.http.settings import HttpSettings


def test_c24_who_may_write() -> None:
    assert HttpSettings().may_write("8.8.8.8")
    networks = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fe80::/10"))
    settings = HttpSettings(allow_write_from=networks)
    verdicts = {remote: settings.may_write(remote) for remote in ("10.1.2.3", "127.0.0.1", "fe80::1%eth0", "::1", "")}
    assert verdicts == {"10.1.2.3": True, "127.0.0.1": False, "fe80::1%eth0": True, "::1": False, "": True}


def test_g19_head_size() -> None:
    assert HttpSettings().max_head == 2**20
    assert HttpSettings(max_header_bytes=4096).max_head == 4096

from __future__ import annotations

from pathlib import Path

from meshagent.agent.interfaces import default_routes, host_interfaces


def test_every_host_has_a_loopback_address() -> None:
    loopback = [i for i in host_interfaces() if i.address == "127.0.0.1"]
    assert loopback
    assert (loopback[0].prefix, "up" in loopback[0].flags) == (8, True)


def test_default_routes_are_read_from_the_kernel(tmp_path: Path) -> None:
    net = tmp_path / "net"
    net.mkdir()
    (net / "route").write_text(
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "eth1\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        "eth2\t00000000\t0101A8C0\t0002\t0\t0\t0\t00000000\t0\t0\t0\n"
    )
    zero = "0" * 32
    (net / "ipv6_route").write_text(
        f"{zero} 00 {zero} 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth3\n"
        f"{zero} 00 {zero} 00 {zero} ffffffff 00000001 00000000 00200200       lo\n"
    )
    assert default_routes(tmp_path) == {"eth0", "eth3"}
    assert default_routes(tmp_path / "nothing") == set()

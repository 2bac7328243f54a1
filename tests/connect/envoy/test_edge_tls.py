"""TLS of gateways in Envoy's words; ingress.json and api-gateway.json have the common cases."""

from __future__ import annotations

import pytest
from meshtest.certificates import make_ca, make_leaf
from meshtest.meshcerts import TrustDomain

from meshagent.catalog.entries.ingress_gateway import SDS
from meshagent.connect.envoy import edge_tls
from meshagent.connect.gateways.edge import Certificate, EdgeListener, EdgeTLS

SNAPSHOT = TrustDomain().snapshot("edge")
CA = make_ca()


def certificate(*names: str) -> Certificate:
    chain, key = (one.decode() for one in make_leaf(CA, *names))
    return Certificate(names[0], chain, key)


FILES = Certificate("files", "/etc/gw.pem", "/etc/gw.key", files=True)
ONE, TWO = certificate("a.example.com"), certificate("*.b.example.com", "a.example.com")


def ways(*certificates: Certificate, protocol: str = "http", **fields: object) -> tuple[edge_tls.Shown, ...]:
    settings = EdgeTLS(certificates, **fields)  # type: ignore[arg-type]
    return edge_tls.shown(SNAPSHOT, EdgeListener("s", 1, protocol, settings), settings)


def common(way: edge_tls.Shown) -> dict[str, object]:
    found: dict[str, object] = way.socket["typed_config"]["common_tls_context"]
    return found


def test_several_have_a_chain_for_their_names_each_and_the_leaf_is_for_the_rest() -> None:
    found = ways(ONE, TWO)
    assert [(one.name, one.server_names) for one in found] == [
        ("a.example.com", ("a.example.com",)),
        ("*.b.example.com", ("*.b.example.com",)),
        ("default", ()),
    ]
    shown = [common(one)["tls_certificates"][0]["certificate_chain"]["inline_string"] for one in found]  # type: ignore[index]
    assert shown == [ONE.chain, TWO.chain, SNAPSHOT.leaf_chain]


def test_files_of_the_gateways_host_are_for_the_rest() -> None:
    found = ways(ONE, FILES)
    assert [one.server_names for one in found] == [("a.example.com",), ()]
    assert common(found[1])["tls_certificates"] == [
        {"certificate_chain": {"filename": "/etc/gw.pem"}, "private_key": {"filename": "/etc/gw.key"}}
    ]


@pytest.mark.parametrize(
    ("least", "params"),
    [("", {}), ("TLSv1_2", {}), ("TLSv1_3", {"tls_minimum_protocol_version": "TLSv1_3"})],
)
def test_the_least_version_is_said_unless_it_is_envoys_own(least: str, params: dict[str, str]) -> None:
    assert common(ways(ONE, min_version=least)[0])["tls_params"] == params


def test_somebodys_sds_takes_the_place_of_certificates() -> None:
    (found,) = ways(sds=SDS(cluster_name="sds-cluster", cert_resource="gw"), protocol="grpc")
    (secret,) = common(found)["tls_certificate_sds_secret_configs"]  # type: ignore[misc]
    assert secret["name"] == "gw"
    grpc = secret["sds_config"]["api_config_source"]["grpc_services"][0]
    assert grpc["envoy_grpc"] == {"cluster_name": "sds-cluster"}
    assert common(found)["alpn_protocols"] == ["h2", "http/1.1"]

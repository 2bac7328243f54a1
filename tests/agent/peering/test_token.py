from __future__ import annotations

import base64
import json

import hypothesis.strategies as st
import pytest
from hypothesis import given

from meshagent.agent.peering.token import MAX_TOKEN_BYTES, PeeringToken, Place, decode_token, encode_token
from meshagent.errors import InternalError

PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
GOOD = {
    "CA": [PEM],
    "ManualServerAddresses": None,
    "ServerAddresses": ["10.0.0.1:8503", "[2001:db8::1]:8503"],
    "ServerName": "server.dc1.peering.11111111-2222-3333-4444-555555555555.consul",
    "PeerID": "40e4a748-2192-161a-0510-9bf59fe950b5",
    "EstablishmentSecret": "50e4a748-2192-161a-0510-9bf59fe950b5",
    "Remote": {"Partition": "", "Datacenter": "dc1", "Locality": None},
}


def packed(**fields: object) -> str:
    return base64.b64encode(json.dumps({**GOOD, **fields}).encode()).decode()


def test_a_token_as_another_cluster_makes_it() -> None:
    token = decode_token(packed())
    assert token.addresses == ("10.0.0.1:8503", "[2001:db8::1]:8503")
    assert (token.ca, token.remote) == ((PEM,), Place(datacenter="dc1"))
    assert decode_token(packed(ManualServerAddresses=["lb.example:443"])).addresses == ("lb.example:443",)


def test_the_fields_are_those_that_another_cluster_reads() -> None:
    shown = json.loads(base64.b64decode(encode_token(decode_token(packed()))))
    assert set(shown) == set(GOOD)
    assert {key: shown[key] for key in GOOD if key != "Remote"} == {key: GOOD[key] for key in GOOD if key != "Remote"}


def test_a_token_does_not_show_its_secret() -> None:
    token = decode_token(packed())
    assert token.establishment_secret
    assert token.establishment_secret not in repr(token)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("nope!", "failed to decode token: illegal base64 data at input byte 4"),
        ("e30=", "peering token server addresses value is empty"),
        ("bm90IGpzb24=", "invalid character 'o' in literal null (expecting 'u')"),
        ("A" * (MAX_TOKEN_BYTES + 1), f"failed to decode token: longer than {MAX_TOKEN_BYTES} bytes"),
        (packed(CA="x"), "failed to decode token: Expected `array | null`, got `str` - at `$.CA`"),
        (packed(CA=["x"]), "peering token CA value is not a PEM certificate"),
        (packed(ServerAddresses=["10.0.0.1"]), 'peering token server address "10.0.0.1" is not host:port'),
        (packed(ServerAddresses=[":1"]), 'peering token server address ":1" is not host:port'),
        (packed(ServerAddresses=["a:70000"]), 'peering token server address "a:70000" is not host:port'),
        (packed(ServerName=""), "peering token server name value is empty"),
        (packed(PeerID=""), "peering token peer ID value is empty"),
    ],
)
def test_what_is_none_is_told(text: str, problem: str) -> None:
    with pytest.raises(InternalError) as caught:
        decode_token(text)
    assert str(caught.value) == problem


@given(st.binary(max_size=300).map(lambda raw: base64.b64encode(raw).decode()) | st.text(max_size=100))
def test_any_text_is_a_token_or_an_error(text: str) -> None:
    try:
        assert decode_token(text).peer_id
    except InternalError as error:
        assert str(error)


@given(
    st.builds(
        PeeringToken,
        ca=st.none() | st.just((PEM,)),
        server_addresses=st.just(("h:1",)),
        manual_server_addresses=st.none() | st.just(("[::1]:2",)),
        server_name=st.text(min_size=1, max_size=20),
        peer_id=st.text(min_size=1, max_size=20),
        establishment_secret=st.text(max_size=20),
    )
)
def test_tokens_survive_their_codec(token: PeeringToken) -> None:
    assert decode_token(encode_token(token)) == token

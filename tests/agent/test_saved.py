"""Surface row G6: the files of saved registrations, ours and Consul's."""

import json

from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent import saved
from meshagent.errors import MeshError


def test_files_of_a_consul_agent_are_understood():
    service = {
        "Token": "t",
        "Service": {
            "Kind": "connect-proxy",
            "ID": "web-sidecar-proxy",
            "Service": "web-sidecar-proxy",
            "Tags": [],
            "Address": "",
            "TaggedAddresses": None,
            "Meta": None,
            "Port": 21000,
            "SocketPath": "",
            "Weights": {"Passing": 1, "Warning": 1},
            "EnableTagOverride": False,
            "Proxy": {"DestinationServiceName": "web", "Mode": "", "MeshGateway": {}, "Expose": {}},
            "Connect": {},
            "EnterpriseMeta": {},
            "PeerName": "",
            "CreateIndex": 0,
            "ModifyIndex": 0,
        },
        "Source": "remote",
        "LocallyRegisteredAsSidecar": True,
    }
    restored = saved.decode_service(json.dumps(service).encode())
    assert (restored.service.port, restored.token, restored.sidecar_of) == (21000, "t", "web")
    check = {
        "Check": {"Node": "n1", "CheckID": "c", "Name": "C", "Status": "critical", "ServiceID": "", "Definition": {}},
        "ChkType": {"CheckID": "c", "Name": "C", "ScriptArgs": ["true"], "Interval": "10s", "ProxyHTTP": "", "TTL": 0},
        "Token": "",
        "Source": "local",
    }
    restored = saved.decode_check(json.dumps(check).encode())
    assert (restored.definition.args, restored.definition.interval) == (("true",), 10.0)


@given(
    st.binary(max_size=80)
    | st.recursive(
        st.none() | st.text() | st.integers(),
        lambda inner: st.dictionaries(
            st.sampled_from(["Service", "Check", "ChkType", "ID", "CheckID", "Status", "Expires", "Token"]), inner
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_any_bytes_are_read_or_refused(data):
    for parse in (saved.decode_service, saved.decode_check, saved.decode_state):
        try:
            parse(data)
        except MeshError:
            pass

"""Surface rows O3, O6: services and checks as the agent shows them; most of it is in the golden scenarios."""

from meshagent.agent.http.local_shapes import agent_service, hashed_service, health_check
from meshagent.catalog.model import Check, Expose, ExposePath, MeshGateway, Proxy, Service, Upstream


def test_what_is_empty_is_left_out_and_what_is_not_is_shown():
    shown = agent_service(Service(id="a", name="a"), "dc1")
    assert set(shown) == {
        "ID", "Service", "Tags", "Meta", "Port", "Address", "Weights", "EnableTagOverride", "Datacenter",
    }  # fmt: skip
    assert hashed_service(Service(id="a", name="a"), "dc1")["ContentHash"]
    assert agent_service(Service(id="a", name="a", peer_name="p"), "dc1")["PeerName"] == "p"


def test_upstreams_take_the_mesh_gateway_of_their_proxy():
    upstreams = (
        Upstream(destination_name="a", local_bind_port=1),
        Upstream(destination_name="b", local_bind_port=2, mesh_gateway=MeshGateway(mode="none")),
        Upstream(destination_name="q", destination_type="prepared_query", local_bind_port=3),
    )
    gateway = MeshGateway(mode="local")
    service = Service(kind="connect-proxy", id="p", name="p", proxy=Proxy(upstreams=upstreams, mesh_gateway=gateway))
    shown = agent_service(service, "dc1")["Proxy"]["Upstreams"]
    assert [one["MeshGateway"] for one in shown] == [{"Mode": "local"}, {"Mode": "none"}, {}]
    assert "Datacenter" not in shown[0]


def test_exposed_paths_say_whether_a_check_made_them():
    expose = Expose(paths=(ExposePath(path="/a", listener_port=1),))
    service = Service(kind="connect-proxy", id="p", name="p", proxy=Proxy(expose=expose))
    assert agent_service(service, "dc1")["Proxy"]["Expose"]["Paths"][0]["ParsedFromCheck"] is False


def test_checks_of_the_health_endpoints_have_no_type_and_no_tags():
    shown = health_check(Check(check_id="c", type="ttl", service_tags=("a",), status="passing"))
    assert (shown["Type"], shown["ServiceTags"], shown["Status"]) == ("", None, "passing")
    assert "Interval" not in shown

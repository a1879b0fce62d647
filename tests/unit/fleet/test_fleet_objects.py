"""The objects of fleets, and the steps that lead from what is there to what is wished."""

import json
from pathlib import Path

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from weirkeeper.fleet.containers import HEALTH_PORTS, health_port
from weirkeeper.fleet.objects import DIGEST, Found, Key, accounts, fleet_objects, over, selector, steps, unstartable
from weirkeeper.fleet.place import INSTALL, LOAD_BALANCER, FleetPlace, fleet_name, marks, may_live
from weirkeeper.model.fleet import Fleet, FleetWish, Toleration
from weirkeeper.model.ids import Ref
from weirkeeper.model.origin import Origin
from weirkeeper.model.text import Id, Label, Name

PLACE = FleetPlace(
    install=Name("weirkeeper"),
    namespace=Name("edge"),
    control_plane="weirkeeper.home.svc",
    image="weir:1",
    envoy_image="envoy:1",
    audience="weirkeeper",
    streams_port=18000,
    exchange_port=18001,
)
SHIPPED = Path(__file__).parents[3] / "deploy" / "kustomize" / "instances" / "host-network" / "envoy.yaml"
ACCOUNT, DEPLOYMENT, DAEMON_SET = ("", "ServiceAccount"), ("apps", "Deployment"), ("apps", "DaemonSet")


def wish(name="ingress/weirkeeper/shop/web", provider="envoy", ports=(80, 443), **fleet):
    origin = Origin(ref=Ref(kind="Ingress", namespace="shop", name="web"))
    return FleetWish(
        load_balancer=Id(name),
        provider=Name(provider),
        fleet=Fleet(**{"replicas": 2, **fleet}),
        ports=ports,
        origin=origin,
    )


def one(kind, wished=None, place=PLACE):
    """The body of a kind."""
    [body] = [body for key, body in fleet_objects(place, wished or wish()).items() if key.kind == kind]
    return body


def there(*wishes, place=PLACE, **changed):
    """What the API server has once these wishes are fulfilled."""
    return {
        key: Found(
            **{
                "uid": f"uid {key.name}",
                "version": "7",
                "labels": body["metadata"]["labels"],
                "digest": body["metadata"]["annotations"][DIGEST],
                **changed,
            }
        )
        for w in wishes
        for key, body in fleet_objects(place, w).items()
    }


def test_a_wish_becomes_a_deployment_and_an_account_of_its_own():
    assert [key.kind for key in fleet_objects(PLACE, wish())] == [ACCOUNT, DEPLOYMENT]
    body = one(DEPLOYMENT)
    assert body["spec"]["replicas"] == 2
    pod = body["spec"]["template"]
    assert (
        pod["spec"]["serviceAccountName"] == one(ACCOUNT)["metadata"]["name"] == fleet_name(PLACE, wish().load_balancer)
    )
    assert body["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    [apart] = pod["spec"]["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert apart["topologyKey"] == "kubernetes.io/hostname"
    assert apart["labelSelector"]["matchLabels"] == marks(PLACE, wish().load_balancer)


def test_one_on_every_host_becomes_a_daemon_set():
    body = one(DAEMON_SET, wish(mode="daemonset", node_selector=((Label("edge"), Label("true")),)))
    assert "replicas" not in body["spec"]
    assert body["spec"]["template"]["spec"]["nodeSelector"] == {"edge": "true"}


def test_tolerations_are_written_as_kubernetes_reads_them():
    wished = wish(tolerations=(Toleration(key=Label("edge"), value=Label("yes"), effect="NoSchedule"), Toleration()))
    found = one(DEPLOYMENT, wished)["spec"]["template"]["spec"]["tolerations"]
    assert found[:2] == [
        {"operator": "Equal", "key": "edge", "value": "yes", "effect": "NoSchedule"},
        {"operator": "Exists"},
    ]
    lost = {t["key"]: t["tolerationSeconds"] for t in found[2:]}
    assert set(lost) == {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}
    assert all(0 < seconds <= 30 for seconds in lost.values())


def test_the_ports_of_listeners_are_those_of_the_host():
    [envoy, sidecar] = one(DEPLOYMENT, wish(ports=(80, 8443)))["spec"]["template"]["spec"]["containers"]
    assert [(p["containerPort"], p["hostPort"]) for p in envoy["ports"]] == [(80, 80), (8443, 8443)]
    [health] = sidecar["ports"]
    assert health["hostPort"] == health_port(wish().load_balancer)
    assert health["hostPort"] in HEALTH_PORTS


@pytest.mark.parametrize(("exposure", "of_type"), [("nodePort", "NodePort"), ("loadBalancer", "LoadBalancer")])
def test_behind_a_service_pods_are_on_their_own_network(exposure, of_type):
    wished = wish(exposure=exposure, ports=(80, 443), service_annotations=(("cloud.example/kind", "x"),))
    pod = one(DEPLOYMENT, wished)["spec"]["template"]
    assert "hostNetwork" not in pod["spec"]
    assert not any("hostPort" in port for c in pod["spec"]["containers"] for port in c["ports"])
    service = one(("", "Service"), wished)["spec"]
    assert (service["type"], service["externalTrafficPolicy"]) == (of_type, "Local")
    assert one(("", "Service"), wished)["metadata"]["annotations"]["cloud.example/kind"] == "x"
    assert [port["targetPort"] for port in service["ports"]] == [80, 443]
    assert service["selector"].items() <= pod["metadata"]["labels"].items()
    [bootstrap, *_] = pod["spec"]["initContainers"]
    assert "--address=$(HOST_ADDRESS)" in bootstrap["args"]


def test_a_host_port_is_led_to_the_network_of_the_pod():
    wished = wish(exposure="hostPort", ports=(80,))
    pod = one(DEPLOYMENT, wished)["spec"]["template"]["spec"]
    assert "hostNetwork" not in pod
    assert [port["hostPort"] for c in pod["containers"] for port in c["ports"] if "hostPort" in port] == [80]
    assert ("", "Service") not in [key.kind for key in fleet_objects(PLACE, wished)]


def test_what_others_keep_in_the_metadata_stays():
    body = one(("", "Service"), wish(exposure="loadBalancer", ports=(80,)))
    found = Found(
        "u",
        "7",
        {},
        "old",
        {"cloud.example/made": "lb-1", DIGEST: "old"},
        ("service.kubernetes.io/load-balancer-cleanup",),
    )
    meta = over(body, found)["metadata"]
    assert meta["annotations"] == {"cloud.example/made": "lb-1", **body["metadata"]["annotations"]}
    assert (meta["resourceVersion"], meta["finalizers"]) == ("7", ["service.kubernetes.io/load-balancer-cleanup"])


def test_ports_of_udp_are_told_from_those_of_tcp():
    wished = msgspec.structs.replace(wish(ports=(53,), exposure="loadBalancer"), datagram_ports=(53,))
    assert [(one["name"], one["port"], one["protocol"]) for one in one(("", "Service"), wished)["spec"]["ports"]] == [
        ("port-53", 53, "TCP"),
        ("udp-53", 53, "UDP"),
    ]
    on_hosts = msgspec.structs.replace(wish(ports=(53,), exposure="hostPort"), datagram_ports=(53,))
    containers = one(DEPLOYMENT, on_hosts)["spec"]["template"]["spec"]["containers"]
    ports = [port for container in containers for port in container.get("ports", ()) if port["containerPort"] == 53]
    assert {port["protocol"] for port in ports} == {"TCP", "UDP"}


@pytest.mark.parametrize("exposure", ["nodePort", "loadBalancer", "clusterIP"])
def test_behind_a_service_a_new_port_starts_no_pod_anew(exposure):
    before, after = (one(DEPLOYMENT, wish(exposure=exposure, ports=ports)) for ports in ((80,), (80, 81)))
    assert before == after


def test_without_a_port_there_is_no_service():
    assert [key.kind for key in fleet_objects(PLACE, wish(exposure="nodePort", ports=()))] == [ACCOUNT, DEPLOYMENT]


def test_the_pod_is_that_of_the_shipped_daemon_set():
    """Names, arguments but those about which load balancer, security and files: what is right for the one is right for the other."""
    both = yaml.safe_load(SHIPPED.read_text())["spec"], json.loads(msgspec.json.encode(one(DEPLOYMENT)))["spec"]
    assert len({spec["minReadySeconds"] for spec in both}) == 1
    shipped, ours = (spec["template"]["spec"] for spec in both)
    for same in (
        "automountServiceAccountToken",
        "hostNetwork",
        "dnsPolicy",
        "terminationGracePeriodSeconds",
        "securityContext",
    ):
        assert ours[same] == shipped[same], same
    assert [v["name"] for v in ours["volumes"]] == [v["name"] for v in shipped["volumes"]]
    for kind in ("initContainers", "containers"):
        assert [c["name"] for c in ours[kind]] == [c["name"] for c in shipped[kind]]
        for mine, theirs in zip(ours[kind], shipped[kind], strict=True):
            assert mine["securityContext"] == theirs["securityContext"], mine["name"]
            assert mine["volumeMounts"] == theirs["volumeMounts"], mine["name"]
            assert mine.get("resources") == theirs.get("resources"), mine["name"]
            assert flags(mine) == flags(theirs), mine["name"]
            assert hook(mine) == hook(theirs), mine["name"]


def test_an_instance_that_is_told_to_go_has_the_time_to_leave_and_to_drain():
    place = msgspec.structs.replace(PLACE, drain_seconds=600)
    [body] = [body for key, body in fleet_objects(place, wish()).items() if key.kind == DEPLOYMENT]
    spec = body["spec"]["template"]["spec"]
    [envoy, sidecar] = spec["containers"]
    assert {"name": "WEIR_DRAIN_SECONDS", "value": "600"} in sidecar["env"]
    leave = sidecar["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert spec["terminationGracePeriodSeconds"] >= leave + 600 + 10
    [port] = [port["containerPort"] for port in sidecar["ports"] if port["name"] == "health"]
    assert envoy["lifecycle"] == {"preStop": {"httpGet": {"path": "/drained", "port": port}}}


def hook(container):
    """What is done before it is stopped; at which port is each fleet's own."""
    found = container.get("lifecycle", {}).get("preStop", {})
    return found.get("sleep"), found.get("httpGet", {}).get("path")


def flags(container):
    return sorted(argument.partition("=")[0] for argument in container["args"] if argument.startswith("-"))


def test_a_dollar_in_a_name_is_no_variable():
    [bootstrap, *_] = one(DEPLOYMENT, wish("ingress/c/n/$(POD_NAME)"))["spec"]["template"]["spec"]["initContainers"]
    assert "--load-balancer=ingress/c/n/$$(POD_NAME)" in bootstrap["args"]


def test_an_account_may_have_certificates_of_its_own_load_balancer_and_of_no_other():
    a, b = wish("ingress/c/n/a"), wish("ingress/c/n/b")
    found = accounts(PLACE, [a, b])
    assert found[f"edge/{fleet_name(PLACE, a.load_balancer)}"] == {a.load_balancer}
    assert found[f"edge/{fleet_name(PLACE, b.load_balancer)}"] == {b.load_balancer}
    assert len(found) == 2


def test_an_engine_that_cannot_be_started_has_no_objects_and_no_account():
    strange = wish(provider="memory")
    assert fleet_objects(PLACE, strange) == {}
    assert accounts(PLACE, [strange]) == {}
    assert unstartable([strange, wish()]) == (strange,)


@given(st.lists(st.text("abcXYZ0-9./%~", min_size=1, max_size=300), min_size=2, max_size=2, unique=True))
def test_names_are_names_and_no_two_load_balancers_share_one(ids):
    a, b = (Id(f"ingress/{text}") for text in ids)
    names = fleet_name(PLACE, a), fleet_name(PLACE, b)
    assert names[0] != names[1]
    assert marks(PLACE, a) != marks(PLACE, b)
    for name in names:
        assert len(name) <= 52
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
        assert name[0].isalnum()
        assert name[-1].isalnum()


def what(found):
    return [(step.what, step.key.kind[1]) for step in found]


def test_accounts_are_made_before_pods_and_go_after_them():
    assert what(steps(PLACE, [wish()], {})) == [("create", "ServiceAccount"), ("create", "Deployment")]
    gone = steps(PLACE, [], there(wish()))
    assert what(gone) == [("delete", "Deployment"), ("delete", "ServiceAccount")]
    assert all(step.found is not None and step.found.uid for step in gone)


def test_what_is_too_much_goes_before_what_comes():
    found = steps(PLACE, [wish("ingress/c/n/new")], there(wish("ingress/c/n/old")))
    assert [step.what for step in found] == ["delete", "delete", "create", "create"]


def test_what_is_as_wished_is_left_alone():
    assert steps(PLACE, [wish()], there(wish())) == ()


def test_another_number_is_written_over_the_version_that_was_read():
    [step] = steps(PLACE, [wish(replicas=1)], there(wish()))
    assert (step.what, step.key.kind, step.body["spec"]["replicas"]) == ("replace", DEPLOYMENT, 1)
    assert step.found.version == "7"


def test_another_version_of_the_program_is_another_digest():
    newer = msgspec.structs.replace(PLACE, image="weir:2")
    assert what(steps(newer, [wish()], there(wish()))) == [("replace", "Deployment")]


def test_another_mode_takes_the_first_away():
    found = steps(PLACE, [wish(mode="daemonset")], there(wish()))
    assert what(found) == [("delete", "Deployment"), ("create", "DaemonSet")]


@pytest.mark.parametrize(
    "labels", [{}, {INSTALL: "other", LOAD_BALANCER: "x"}, {INSTALL: "weirkeeper"}, {LOAD_BALANCER: "x"}]
)
def test_what_is_not_ours_is_never_touched(labels):
    foreign = {Key(DEPLOYMENT, "theirs", "edge"): Found("u", "1", labels, "")}
    assert steps(PLACE, [], foreign) == ()
    same_name = there(wish(), labels=labels, digest="another")
    assert steps(PLACE, [wish()], same_name) == ()


def test_what_is_leaving_already_is_waited_for():
    assert steps(PLACE, [], there(wish(), leaving=True)) == ()
    assert steps(PLACE, [wish(replicas=9)], there(wish(), leaving=True)) == ()


def test_the_selector_finds_what_carries_our_marks():
    assert selector(PLACE) == "weirkeeper.io/install=weirkeeper,weirkeeper.io/load-balancer"


@pytest.mark.parametrize(("provider", "image"), [("haproxy", PLACE.haproxy_image), ("nginx", PLACE.nginx_image)])
def test_an_engine_and_its_agent_are_nobodys_parent_and_share_their_files(provider, image):
    wished = wish(provider=provider, ports=(80, 8443))
    pod = one(DEPLOYMENT, wished)["spec"]["template"]["spec"]
    assert "initContainers" not in pod
    [engine, agent] = pod["containers"]
    assert (engine["name"], engine["image"]) == (provider, image)
    assert agent["image"] == PLACE.image
    assert agent["args"][:2] == ["agent", provider]
    shared = next(text.partition("=")[2] for text in agent["args"] if text.startswith("--engine-folder="))
    assert f"cd {shared} " in engine["command"][2]
    assert {"name": "run", "mountPath": "/run/weirkeeper"} in engine["volumeMounts"]
    assert not any(mount["name"] == "token" for mount in engine["volumeMounts"]), "the token is the agent's"
    assert engine["securityContext"]["capabilities"]["add"] == ["NET_BIND_SERVICE"]
    assert "add" not in agent["securityContext"]["capabilities"]
    [run] = [volume["emptyDir"] for volume in pod["volumes"] if volume["name"] == "run"]
    assert run["medium"] == "Memory"
    assert accounts(PLACE, [wished]).keys() == accounts(PLACE, [wish()]).keys()


@pytest.mark.parametrize("provider", ["haproxy", "nginx"])
def test_each_part_of_its_pod_is_probed_by_itself(provider):
    wished = wish(provider=provider)
    [engine, agent] = one(DEPLOYMENT, wished)["spec"]["template"]["spec"]["containers"]
    ports = {
        container["name"]: {p["name"]: p["containerPort"] for p in container["ports"]} for container in (engine, agent)
    }
    assert ports["agent"]["health"] == health_port(wished.load_balancer)
    assert engine["livenessProbe"]["httpGet"]["port"] == "alive"
    assert f"--engine-listen=$(HOST_ADDRESS):{ports[provider]['alive']}" in agent["args"]
    assert agent["readinessProbe"]["httpGet"] == {"path": "/ready", "port": "health"}
    assert ports[provider]["alive"] not in HEALTH_PORTS


def test_a_fleet_beside_its_gateway_is_whole_there():
    beside = msgspec.structs.replace(
        wish("gateway/shop/web"), namespace=Name("shop"), labels=(("team", "a"), (INSTALL, "x")), annotations=(("k", "v"),)
    )
    made = fleet_objects(PLACE, beside, {"ca.crt": "roots"})
    assert {key.namespace for key in made} == {"shop"} == {body["metadata"]["namespace"] for body in made.values()}
    by_kind = {key.kind[1]: body for key, body in made.items()}
    assert by_kind["ConfigMap"]["data"] == {"ca.crt": "roots"}
    pod = by_kind["Deployment"]["spec"]["template"]
    for body in (*made.values(), pod):
        assert body["metadata"]["labels"].items() >= {"team": "a", INSTALL: "weirkeeper"}.items()
        assert body["metadata"]["annotations"]["k"] == "v"
    [trusted] = [volume for volume in pod["spec"]["volumes"] if volume["name"] == "authority"]
    assert trusted["configMap"]["name"] == by_kind["ConfigMap"]["metadata"]["name"]
    assert list(accounts(PLACE, [beside])) == [f"shop/{fleet_name(PLACE, beside.load_balancer)}"]
    assert next(step.key.kind[1] for step in steps(PLACE, [beside], {}, {"ca.crt": "roots"})) == "ConfigMap"


@pytest.mark.parametrize(
    ("exposure", "has"),
    [
        ("clusterIP", {"externalIPs": ["192.0.2.1", "192.0.2.2"]}),
        ("loadBalancer", {"loadBalancerIP": "192.0.2.1"}),
        ("nodePort", {}),
    ],
)
def test_a_service_has_the_addresses_that_were_asked_for(exposure, has):
    wished = msgspec.structs.replace(wish(exposure=exposure), addresses=("192.0.2.1", "192.0.2.2"))
    spec = one(("", "Service"), wished)["spec"]
    assert {key: spec[key] for key in ("externalIPs", "loadBalancerIP") if key in spec} == has


@pytest.mark.parametrize(
    ("load_balancer", "namespace", "may"),
    [
        ("gateway/shop/web", "shop", True),
        ("gateway/shop/web", "edge", True),
        ("gateway/shop/web", "web", False),
        ("gateway/other/shop", "shop", False),
        ("ingress/shop/web", "shop", False),
    ],
)
def test_what_is_in_a_strange_namespace_says_nothing_of_a_fleet(load_balancer, namespace, may):
    assert may_live(PLACE, Id(load_balancer), namespace) is may

"""What is shipped under deploy/, looked at without a cluster: rights, settings, security of the pods."""

import json
from pathlib import Path

import manifests
import pytest

from weirkeeper.configuration import checked, kinds, run_settings
from weirkeeper.kube.gateway_types import RESOURCES
from weirkeeper.settings import RunSettings

SHIPPED = Path(__file__).parents[2] / "deploy" / "kustomize"
OBJECTS = [
    one for path in sorted(SHIPPED.rglob("*.yaml")) for one in manifests.documents(path.read_text()) if "kind" in one
]
PATCHES = [
    manifests.documents(patch["patch"])[0]
    for path in sorted(SHIPPED.rglob("kustomization.yaml"))
    for patch in manifests.documents(path.read_text())[0].get("patches", ())
    if "target" not in patch
]
FILES = [one["data"]["settings.yaml"] for one in (*OBJECTS, *PATCHES) if one["kind"] == "ConfigMap" and one.get("data")]
RULES = [
    (one["metadata"]["name"], rule)
    for one in OBJECTS
    if one["kind"] in ("Role", "ClusterRole")
    for rule in one["rules"]
]
PODS = [one for one in OBJECTS if one["kind"] in ("Deployment", "DaemonSet")]
(PLANE,) = [one for one in PODS if one["metadata"]["name"] == "weirkeeper"]
ENVOYS = [one for one in PODS if one["metadata"]["name"] == "weirkeeper-envoy"]
WRITING = {"create", "update", "patch", "delete", "deletecollection"}
NEVER = {
    "pods/exec", "pods/attach", "pods/portforward", "nodes/proxy", "serviceaccounts/token", "roles", "rolebindings", "clusterroles",
    "clusterrolebindings", "validatingwebhookconfigurations", "mutatingwebhookconfigurations", "certificatesigningrequests/approval",
    "customresourcedefinitions",
}  # fmt: skip
# All that may be written anywhere; the rest is in a Role of the own namespace.
WRITTEN_EVERYWHERE = {"ingresses/status", "events", "tokenreviews"}
STARTED = ("deployments", "daemonsets", "serviceaccounts", "services", "configmaps")


def containers(workload):
    spec = workload["spec"]["template"]["spec"]
    return [*spec.get("initContainers", ()), *spec["containers"]]


def test_something_is_shipped():
    assert {one["kind"] for one in PODS} == {"Deployment", "DaemonSet"}
    assert len(RULES) > 8


@pytest.mark.parametrize(("name", "rule"), RULES)
def test_no_rule_is_wider_than_it_has_to_be(name, rule):
    assert "*" not in {*rule["verbs"], *rule["resources"], *rule["apiGroups"]}
    assert not {"escalate", "bind", "impersonate"} & set(rule["verbs"])
    assert not NEVER & set(rule["resources"])
    assert "namespaces" not in rule["resources"] or set(rule["verbs"]) == {"list", "watch"}


def everywhere(folder):
    """What the ClusterRoles of a folder give, as (verb, resource)."""
    files = [one for path in (SHIPPED / folder).rglob("*.yaml") for one in manifests.documents(path.read_text())]
    rules = [rule for one in files if one.get("kind") == "ClusterRole" for rule in one["rules"]]
    return {(verb, what) for rule in rules for verb in rule["verbs"] for what in rule["resources"]}


def test_what_is_written_everywhere_is_little():
    assert {what for verb, what in everywhere("base") if verb in WRITING} == WRITTEN_EVERYWHERE
    more = {
        path.name: {(verb, what) for verb, what in everywhere(path) if verb in WRITING}
        for path in (SHIPPED / "components").iterdir()
    }
    kinds = ("services", "deployments", "statefulsets", "daemonsets")
    assert {name: what for name, what in more.items() if what} == {
        "public-endpoints": {("patch", kind) for kind in kinds},
        "gateway": {("patch", f"{one.plural}/status") for one in RESOURCES.values()},
        "gateway-fleets": {(verb, kind) for verb in ("create", "update", "delete") for kind in STARTED},
    }


def test_pods_are_only_looked_at_and_everywhere_only_where_ingresses_lead_to_workloads():
    rules = [(one["metadata"]["name"], rule) for one in OBJECTS if one["kind"] in ("Role", "ClusterRole") for rule in one["rules"]]
    looking = {name: rule["verbs"] for name, rule in rules if "pods" in rule["resources"]}
    assert looking == {"weirkeeper-instances": ["list", "watch"], "weirkeeper-workloads": ["list", "watch"], "weirkeeper-gateway-fleets": ["list", "watch"]}
    assert {folder.name for folder in (SHIPPED / "components").iterdir() if ("watch", "pods") in everywhere(folder)} == {"workloads", "gateway-fleets"}
    assert ("watch", "pods") not in everywhere("instances") | everywhere("base")


def test_secrets_are_written_by_name_only_and_never_made():
    rules = [rule for _, rule in RULES if "secrets" in rule["resources"] and WRITING & set(rule["verbs"])]
    assert [rule["resourceNames"] for rule in rules] == [["weirkeeper-authority"]]
    assert not {"create", "delete"} & {verb for rule in rules for verb in rule["verbs"]}


def test_secrets_are_read_only_where_somebody_bound_the_role():
    bound = [one for one in OBJECTS if one["kind"] == "ClusterRoleBinding"]
    readers = [one for one in bound if one["roleRef"]["name"] == "weirkeeper-secret-reader"]
    assert len(readers) == 1
    (component,) = SHIPPED.glob("components/all-secrets/binding.yaml")
    assert manifests.documents(component.read_text()) == readers


def test_every_variable_is_a_setting():
    (container,) = containers(PLANE)
    names = {one["name"].removeprefix("WEIR_").lower() for one in container["env"]}
    assert names - {"config"} <= set(kinds())
    assert {"name", "namespace", "identity", "pod_address"} <= names


@pytest.mark.parametrize("text", FILES)
def test_the_settings_files_are_understood(text, tmp_path):
    (tmp_path / "settings.yaml").write_text(text)
    checked(run_settings({}, {}, tmp_path / "settings.yaml"))


def test_a_second_install_claims_classes_of_its_own():
    (internal,) = [one for one in PATCHES if one["kind"] == "IngressClass" and "controller" in one["spec"]]
    (shipped,) = [one for one in OBJECTS if one["kind"] == "IngressClass"]
    assert internal["spec"]["controller"] != shipped["spec"]["controller"]
    assert any(f"classControllers: [{internal['spec']['controller']}]" in text for text in FILES)


def test_ports_are_those_of_the_settings():
    ports = {one["name"]: str(one["containerPort"]) for one in containers(PLANE)[0]["ports"]}
    settings = RunSettings()
    wished = {"ads": settings.ads_address, "exchange": settings.exchange_address, "health": settings.health_address}
    assert ports == {name: address.rpartition(":")[2] for name, address in wished.items()}


@pytest.mark.parametrize("workload", PODS, ids=lambda one: one["metadata"]["name"])
def test_containers_have_no_more_power_than_they_need(workload):
    spec = workload["spec"]["template"]["spec"]
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in containers(workload):
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["readOnlyRootFilesystem"] is True
        assert security["capabilities"]["drop"] == ["ALL"]
        assert set(security["capabilities"].get("add", ())) <= {"NET_BIND_SERVICE"}
    for volume in spec["volumes"]:
        assert "hostPath" not in volume


@pytest.mark.parametrize("envoys", ENVOYS, ids=lambda one: one["kind"])
def test_envoys_have_no_right_and_a_token_of_our_own_audience(envoys):
    spec = envoys["spec"]["template"]["spec"]
    assert spec["automountServiceAccountToken"] is False
    bound = {s["name"] for one in OBJECTS if one["kind"].endswith("Binding") for s in one["subjects"]}
    assert spec["serviceAccountName"] not in bound
    tokens = [s["serviceAccountToken"] for v in spec["volumes"] for s in v.get("projected", {}).get("sources", ())]
    assert [one["audience"] for one in tokens] == [RunSettings().token_audience]


def test_envoys_differ_only_by_their_network():
    """What is right for the one way to run them is right for the other: programs, arguments, files, probes, what they may use."""
    on_hosts, behind_service = ([_without_network(c) for c in containers(one)] for one in ENVOYS)
    assert {one["kind"] for one in ENVOYS} == {"DaemonSet", "Deployment"}
    assert on_hosts == behind_service


def _without_network(container):
    """The container, without what follows from the network that it is on."""
    alike = json.loads(json.dumps(container).replace("HOST_ADDRESS", "POD_ADDRESS").replace("status.hostIP", "status.podIP"))
    alike["securityContext"]["capabilities"].pop("add", None)
    for port in alike.get("ports", ()):
        port.pop("hostPort", None)
    return alike

"""What is shipped under deploy/, looked at without a cluster: rights, settings, security of the pods."""

from pathlib import Path

import manifests
import pytest

from weirkeeper.configuration import checked, kinds, run_settings
from weirkeeper.settings import RunSettings

SHIPPED = Path(__file__).parents[2] / "deploy" / "kustomize"
OBJECTS = [
    one for path in sorted(SHIPPED.rglob("*.yaml")) for one in manifests.documents(path.read_text()) if "kind" in one
]
PATCHES = [
    manifests.documents(patch["patch"])[0]
    for path in sorted(SHIPPED.rglob("kustomization.yaml"))
    for patch in manifests.documents(path.read_text())[0].get("patches", ())
]
FILES = [one["data"]["settings.yaml"] for one in (*OBJECTS, *PATCHES) if one["kind"] == "ConfigMap" and one.get("data")]
RULES = [
    (one["metadata"]["name"], rule)
    for one in OBJECTS
    if one["kind"] in ("Role", "ClusterRole")
    for rule in one["rules"]
]
PODS = [one for one in OBJECTS if one["kind"] in ("Deployment", "DaemonSet")]
WRITING = {"create", "update", "patch", "delete", "deletecollection"}
NEVER = {
    "pods/exec", "pods/attach", "pods/portforward", "nodes/proxy", "serviceaccounts/token", "roles", "rolebindings", "clusterroles",
    "clusterrolebindings", "validatingwebhookconfigurations", "mutatingwebhookconfigurations", "certificatesigningrequests/approval",
    "customresourcedefinitions", "namespaces",
}  # fmt: skip
# All that may be written anywhere; the rest is in a Role of the own namespace.
WRITTEN_EVERYWHERE = {"ingresses/status", "events", "tokenreviews"}


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


def test_what_is_written_everywhere_is_little():
    roles = [one for one in OBJECTS if one["kind"] == "ClusterRole"]
    written = {
        what for role in roles for rule in role["rules"] if WRITING & set(rule["verbs"]) for what in rule["resources"]
    }
    assert written == WRITTEN_EVERYWHERE


def test_pods_are_only_looked_at_and_only_in_the_own_namespace():
    rules = [(one["kind"], rule) for one in OBJECTS if one["kind"] in ("Role", "ClusterRole") for rule in one["rules"]]
    looking = [(kind, rule["verbs"]) for kind, rule in rules if "pods" in rule["resources"]]
    assert looking == [("Role", ["list", "watch"])]


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
    (plane,) = [one for one in PODS if one["kind"] == "Deployment"]
    (container,) = containers(plane)
    names = {one["name"].removeprefix("WEIR_").lower() for one in container["env"]}
    assert names - {"config"} <= set(kinds())
    assert {"name", "namespace", "identity", "pod_address"} <= names


@pytest.mark.parametrize("text", FILES)
def test_the_settings_files_are_understood(text, tmp_path):
    (tmp_path / "settings.yaml").write_text(text)
    checked(run_settings({}, {}, tmp_path / "settings.yaml"))


def test_a_second_install_claims_classes_of_its_own():
    (internal,) = [one for one in PATCHES if one["kind"] == "IngressClass"]
    (shipped,) = [one for one in OBJECTS if one["kind"] == "IngressClass"]
    assert internal["spec"]["controller"] != shipped["spec"]["controller"]
    assert any(f"classControllers: [{internal['spec']['controller']}]" in text for text in FILES)


def test_ports_are_those_of_the_settings():
    (plane,) = [one for one in PODS if one["kind"] == "Deployment"]
    ports = {one["name"]: str(one["containerPort"]) for one in containers(plane)[0]["ports"]}
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


def test_envoys_have_no_right_and_a_token_of_our_own_audience():
    (envoys,) = [one for one in PODS if one["kind"] == "DaemonSet"]
    spec = envoys["spec"]["template"]["spec"]
    assert spec["automountServiceAccountToken"] is False
    bound = {s["name"] for one in OBJECTS if one["kind"].endswith("Binding") for s in one["subjects"]}
    assert spec["serviceAccountName"] not in bound
    tokens = [s["serviceAccountToken"] for v in spec["volumes"] for s in v.get("projected", {}).get("sources", ())]
    assert [one["audience"] for one in tokens] == [RunSettings().token_audience]

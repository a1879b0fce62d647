"""Everything under deploy/ is built with the tools that people use: each overlay and component alone, the chart as the overlay, and none against Pod Security."""

import json

import packages
import pytest
from packages import CHART, COMPONENTS, KUSTOMIZE, OVERLAYS, charted, kustomized

pytestmark = pytest.mark.cluster

FOLDERS = {"base": KUSTOMIZE / "base"} | {name: KUSTOMIZE / "overlays" / name for name in OVERLAYS}
ON_HOSTS = {"host-network", "started", "node-port", "haproxy", "nginx", "development", "staging", "production"}


def pods(objects):
    """Where pods are described: their namespace, and their spec."""
    return [(key.namespace, one["spec"]["template"]["spec"]) for key, one in objects.items() if key.kind in ("Deployment", "DaemonSet")]


def test_there_is_an_overlay_for_each_way_to_run_instances_and_each_stage():
    assert {"host-network", "load-balancer", "node-port", "haproxy", "nginx", "started", "external", "development", "staging", "production"} <= set(OVERLAYS)


@pytest.mark.parametrize("name", FOLDERS)
def test_the_chart_is_the_overlay_object_by_object(name):
    wished, made = kustomized(FOLDERS[name]), charted("-f", str(CHART / "values" / f"{name}.yaml"))
    assert sorted(made) == sorted(wished)
    for key, one in wished.items():
        assert made[key] == one, key


@pytest.mark.parametrize("component", COMPONENTS)
def test_the_chart_is_the_component_object_by_object(component, tmp_path):
    overlay = "load-balancer" if component == "autoscaling" else "host-network"
    folder = beside(tmp_path, overlay, component)
    made = charted("-f", str(CHART / "values" / f"{overlay}.yaml"), "--set", f"components={{{component}}}")
    assert made == kustomized(folder)
    assert made != kustomized(FOLDERS[overlay])


def test_the_chart_takes_every_component():
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert schema["properties"]["components"]["items"]["enum"] == COMPONENTS


def test_two_releases_share_nothing():
    one, two = charted(), charted("--set", "classController=weirkeeper.io/two", release="two")
    assert not set(one) & set(two)
    (settings,) = [o for key, o in two.items() if key.name == "two-settings"]
    assert settings["data"]["settings.yaml"]["classControllers"] == ["weirkeeper.io/two"]
    assert {(namespace, pod["serviceAccountName"]) for namespace, pod in pods(two)} == {("two", "two"), ("two-envoys", "two-envoy")}
    strange = [key for key, o in two.items() if "weirkeeper-" in json.dumps(o["metadata"] | {"labels": {}})]
    assert strange == []


@pytest.mark.parametrize(
    "wrong",
    ["instances.mode=everywhere", "controlPlane.replicas=0", "components={magic}", "classController=weirkeeper", "replicas=2"],
)
def test_the_chart_refuses_what_it_does_not_know(wrong):
    with pytest.raises(AssertionError, match="values don't meet the specifications of the schema"):
        charted("--set", wrong)


@pytest.mark.parametrize("name", FOLDERS)
def test_pods_have_the_level_of_their_namespace(name):
    objects = kustomized(FOLDERS[name])
    levels = {k.name: o["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] for k, o in objects.items() if k.kind == "Namespace"}
    assert levels.pop("weirkeeper") == "restricted"
    assert set(levels.values()) == ({"privileged"} if name in ON_HOSTS else set() if name == "base" else {"restricted"})
    for namespace, pod in pods(objects):
        assert not pod.get("hostNetwork") or namespace == "weirkeeper-envoys"
        assert pod.get("hostNetwork") or pod["securityContext"]["runAsNonRoot"]


def beside(folder, overlay, component):
    """A user's own kustomization: an overlay of ours with a component of ours."""
    at = folder / "mine"
    at.mkdir()
    up = packages.os.path.relpath(KUSTOMIZE, at)
    text = f"resources: [{up}/overlays/{overlay}]\ncomponents: [{up}/components/{component}]\n"
    (at / "kustomization.yaml").write_text(text)
    return at

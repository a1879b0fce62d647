"""Who may have what: an Envoy whose certificate is another load balancer's gets nothing, and whoever may not run instances gets no certificate."""

import lab
import pytest
from installs import reached, until, until_answered, until_status
from samples import echo, ingress, service

pytestmark = [pytest.mark.cluster, pytest.mark.engine]

FILES = [
    {"name": "run", "mountPath": "/run/weirkeeper"},
    {"name": "token", "mountPath": "/var/run/secrets/weirkeeper"},
    {"name": "authority", "mountPath": "/etc/weirkeeper/authority"},
]


def instance(name, install, *, certificate_of, account, restart="Always"):
    """A pod with an Envoy that says it is an instance of the install's class, and gets a certificate of some load balancer."""
    plane = f"{install.name}.{install.kubectl.namespace}.svc"
    env = [{"name": "POD_ADDRESS", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]
    weir = {"image": "weirkeeper/weirkeeper", "volumeMounts": FILES, "env": env}
    bootstrap = ["bootstrap", f"--load-balancer=ingress/{install.of_class}", f"--control-plane={plane}:18000"]
    bootstrap += [f"--instance={name}", "--address=$(POD_ADDRESS)", "--output=/run/weirkeeper/bootstrap.json"]
    sidecar = ["sidecar", f"--load-balancer={certificate_of}", f"--control-plane={plane}:18001", f"--instance={name}"]
    envoy = ["-c", "/run/weirkeeper/bootstrap.json", "--disable-hot-restart", "-l", "warn", "--concurrency", "1"]
    token = {"serviceAccountToken": {"audience": "weirkeeper", "path": "token", "expirationSeconds": 600}}
    spec = {
        "serviceAccountName": account,
        "restartPolicy": restart,
        "terminationGracePeriodSeconds": 1,
        "initContainers": [
            {"name": "bootstrap", "args": bootstrap, **weir},
            {"name": "first-certificate", "args": [*sidecar, "--once"], **weir},
        ],
        "containers": [{"name": "envoy", "image": "envoyproxy/envoy", "args": envoy, "volumeMounts": FILES}],
        "volumes": [
            {"name": "run", "emptyDir": {}},
            {"name": "token", "projected": {"sources": [token]}},
            {"name": "authority", "configMap": {"name": f"{install.name}-authority"}},
        ],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def address_of(kubectl, name):
    until(lambda: kubectl.read("pod", name)["status"].get("podIP"), f"an address of {name}")
    return kubectl.read("pod", name)["status"]["podIP"]


@pytest.fixture
def served(external, kubectl):
    """A host of the external install, and what to do with pods beside its own."""
    kubectl.apply(echo("shop"), service("shop"))
    kubectl.must("rollout", "status", "deployment/shop", "--timeout=150s")
    host = f"{kubectl.namespace}.example"
    kubectl.apply(ingress("shop", external.of_class, host, "shop"))
    until_answered(external.addresses[0], f"http://{host}/", "shop")
    yield host
    for name in ("stranger", "friend"):
        external.instances("delete", "pod", name, "--ignore-not-found", "--wait=false")


def test_a_certificate_of_another_load_balancer_opens_nothing(external, served):
    account = f"{external.name}-envoy"
    external.instances.apply(
        instance("stranger", external, certificate_of="ingress/another", account=account),
        instance("friend", external, certificate_of=f"ingress/{external.of_class}", account=account),
    )
    until_answered(address_of(external.instances, "friend"), f"http://{served}/", "shop")
    stranger = address_of(external.instances, "stranger")
    until(lambda: "ingress/another" in told(external), "the control plane says whom it refused")
    assert reached(stranger, f"http://{served}/") is None


def test_an_account_that_may_not_run_instances_gets_no_certificate(external, served, kubectl):
    bundle = external.instances.read("configmap", f"{external.name}-authority")["data"]
    metadata = {"name": f"{external.name}-authority"}
    kubectl.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": bundle})
    kubectl.apply(instance("stranger", external, certificate_of=f"ingress/{external.of_class}", account="default"))
    until(lambda: "403" in lab.log_of(kubectl.namespace, "stranger", "first-certificate"), "a refusal in its log")
    assert "shop" not in lab.log_of(kubectl.namespace, "stranger", "first-certificate")


def test_the_internal_install_knows_no_certificate_and_no_https(internal, external, served):
    (address,) = internal.addresses
    until_status(address, f"http://{served}/", 404)
    assert reached(address, f"https://{served}/") is None


def told(install):
    """What the replicas of a control plane have logged."""
    pods = [pod["metadata"]["name"] for pod in install.control_plane()]
    return "".join(lab.log_of(install.kubectl.namespace, pod, "weir") for pod in pods)


def test_no_replica_of_one_install_reads_objects_of_another(external, internal):
    for install, other in ((external, internal), (internal, external)):
        account = f"system:serviceaccount:{install.kubectl.namespace}:{install.name}"
        for may, what in (
            (other.kubectl, f"secrets/{other.name}-authority"), (other.kubectl, f"leases/{other.name}"),
            (other.instances, f"configmaps/{other.name}-authority"),
        ):  # fmt: skip
            assert may("auth", "can-i", "update", what, f"--as={account}").out.strip() == "no", (account, what)
            own = f"--as=system:serviceaccount:{other.kubectl.namespace}:{other.name}"
            assert may("auth", "can-i", "update", what, own).out.strip() == "yes", (other.name, what)

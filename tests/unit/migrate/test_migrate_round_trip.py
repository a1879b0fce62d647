"""A migration means the same: every golden case with Ingresses, the example, and Ingresses made up at random are answered alike before and after."""

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from round_trip import differences, migration

ROOT = Path(__file__).parents[3]
GOLDEN = sorted(path.parent for path in (ROOT / "tests" / "golden").glob("*/in.yaml") if "kind: Ingress\n" in path.read_text())
OTHERWISE = {
    "a-class-sends-requests-to-node-ports": "ports of nodes",
    "an-ingress-leads-straight-to-workloads": "pods of a Deployment",
    "clients-of-a-host-show-a-certificate": "at all of a port",
}
"""Cases that cannot mean the same, and what the report says of them."""
PREFIX = "nginx.ingress.kubernetes.io/"


def documents(folder: Path) -> list[dict]:
    return [one for path in sorted(folder.glob("in.yaml" if (folder / "in.yaml").exists() else "*.yaml")) for one in yaml.safe_load_all(path.read_text()) if one]


@pytest.mark.parametrize("folder", [*GOLDEN, ROOT / "examples" / "shop"], ids=lambda folder: folder.name)
def test_a_folder_is_answered_alike(folder: Path) -> None:
    asked, found = differences(documents(folder))
    if folder.name in OTHERWISE:
        assert any(OTHERWISE[folder.name] in why for one in migration(documents(folder)).report.undone for why in one.why)
    else:
        assert found == []
    assert asked >= 4


def test_there_are_enough_folders() -> None:
    assert len(GOLDEN) >= 20


# Ingresses at random

HOSTS = ("a.example", "b.example", "*.example", "www.a.example", "")
PATHS = ("/", "/x", "/x/", "/x/y", "/xy", "/longer/path")
TARGETS = {None: "", "/": "", "/base": "", "/$2": "(/|$)(.*)", "/base/$2": "(/|$)(.*)"}
NOTES = st.fixed_dictionaries(
    {},
    optional={
        "ssl-redirect": st.sampled_from(("true", "false")), "force-ssl-redirect": st.just("true"), "permanent-redirect": st.just("https://else.example/there"),
        "app-root": st.just("/app"), "from-to-www-redirect": st.just("true"), "server-alias": st.just("alias.example"), "upstream-vhost": st.just("inner.example"),
        "use-regex": st.just("true"), "enable-cors": st.just("true"), "backend-protocol": st.sampled_from(("HTTP", "GRPC")),
    },
)  # fmt: skip


@st.composite
def ingress(draw: st.DrawFn, number: int) -> dict:
    target = draw(st.sampled_from([*TARGETS] if number % 2 else [None]))
    notes = {PREFIX + name: text for name, text in draw(NOTES).items()} | ({PREFIX + "rewrite-target": target} if target else {})
    if draw(st.integers(0, 4)) == 0:
        notes = {PREFIX + "canary": "true", PREFIX + "canary-by-header": "X-Next", PREFIX + "canary-by-cookie": "next", PREFIX + "canary-weight": "30"}
    hosts = draw(st.lists(st.sampled_from(HOSTS), min_size=1, max_size=2, unique=True))
    paths = draw(st.lists(st.sampled_from(PATHS), min_size=1, max_size=3, unique=True))
    kinds = [draw(st.sampled_from(("Exact", "Prefix", "ImplementationSpecific"))) for _ in paths]
    rows = [
        {"path": path.rstrip("/") + TARGETS[target] if TARGETS[target] else path, "pathType": kind, "backend": {"service": {"name": f"s{number}-{i}", "port": {"number": 80}}}}
        for i, (path, kind) in enumerate(zip(paths, kinds, strict=True))
    ]
    spec: dict = {"ingressClassName": "nginx", "rules": [{**({"host": host} if host else {}), "http": {"paths": rows}} for host in hosts]}
    if draw(st.booleans()):
        spec["tls"] = [{"hosts": draw(st.sampled_from((["a.example"], ["*.example"], ["a.example", "b.example"]))), "secretName": "held"}]
    if draw(st.integers(0, 5)) == 0:
        spec["defaultBackend"] = {"service": {"name": f"d{number}", "port": {"number": 80}}}
    metadata = {"name": f"i{number}", "namespace": "one", "annotations": notes}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec}


@st.composite
def several(draw: st.DrawFn) -> list[dict]:
    return [draw(ingress(number)) for number in range(draw(st.integers(1, 3)))]


def surroundings(ingresses: list[dict], secret: dict) -> list[dict]:
    names = sorted({path["backend"]["service"]["name"] for one in ingresses for rule in one["spec"]["rules"] for path in rule["http"]["paths"]})
    names += [one["spec"]["defaultBackend"]["service"]["name"] for one in ingresses if "defaultBackend" in one["spec"]]
    services = [{"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "one"}, "spec": {"ports": [{"port": 80}]}} for name in names]
    return [*ingresses, *services, *slices(names), secret]


def slices(names: list[str]) -> list[dict]:
    return [
        {
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": name, "namespace": "one", "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4", "ports": [{"port": 8080}], "endpoints": [{"addresses": ["10.0.0.1"]}],
        }
        for name in names
    ]  # fmt: skip


@pytest.fixture(scope="module")
def secret() -> dict:
    from weirkeeper.testing.certificates import Authority  # noqa: PLC0415 - only here are keys made

    pair = Authority("round trip").issue("a.example", "b.example", "*.example")
    texts = {"tls.crt": pair.certificate.decode(), "tls.key": pair.key.decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "held", "namespace": "one"}, "type": "kubernetes.io/tls", "stringData": texts}


def excused(difference: str, told: set[str]) -> bool:
    """Whether the report says it: that routes change places, that a prefix of characters is one of segments now, that the prefix alone is rewritten without a slash."""
    expressions = {"use-regex", "rewrite-target"} & {field.removeprefix(PREFIX) for field in told} or "paths as expressions" in told
    asked, _, answers = difference.partition(": ")
    before, _, after = answers.replace("/'", "'").partition(", then ")
    return "order of routes" in told or (bool(expressions) and (asked.partition(" ")[0].endswith("q") or before == after))


def test_ingresses_at_random_are_answered_alike(secret: dict) -> None:
    asked = 0

    # to shrink what fails would take minutes
    @settings(max_examples=40, deadline=None, derandomize=True, phases=(Phase.generate,), suppress_health_check=[HealthCheck.too_slow])
    @given(several())
    def alike(ingresses: list[dict]) -> None:
        nonlocal asked
        given_objects = surroundings(ingresses, secret)
        told = {entry.field for entry in migration(given_objects).report.entries}
        count, found = differences(given_objects)
        asked += count
        assert [one for one in found if not excused(one, told)] == []

    alike()
    assert asked > 1000

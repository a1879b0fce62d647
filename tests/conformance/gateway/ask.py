"""Runs the published suite against one implementation in the cluster that KUBECONFIG names, and keeps its report.

Comes in: a provider, names of tests (none: all), and from `run` where the built suite and the published kinds lie. Goes out: the report as the suite writes it, how long
each test took, and 0 where nothing failed. What an implementation claims is what its GatewayClass's status says, nothing is added or left out here.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import yaml

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
sys.path[:0] = [str(ROOT / "tests" / "cluster"), str(HERE)]

import peer  # noqa: E402 - the path above leads to it
from commands import Kubectl  # noqa: E402
from installs import Install, until  # noqa: E402

PROFILES = {f"{kind}Route": f"GATEWAY-{kind}" for kind in ("HTTP", "GRPC", "TLS", "TCP", "UDP")}
"""By the kind of route that the class says it supports: asking for a profile is claiming its core."""
CLASS = "gateway-conformance"
OURS = ("envoy", "haproxy", "nginx")
USABLE, UNUSABLE = "192.0.2.10", "198.51.100.10"
"""Addresses for documentation (RFC 5737): the class lists the first as one that a Gateway may have."""
TOLD = re.compile(r"^\s+--- (PASS|FAIL|SKIP): TestConformance/(\w+) \((\d+\.\d+)s\)$")
PATIENCE = 60
"""Seconds that the suite waits where it would wait for up to three minutes: never more than upstream gives, so nothing passes here that would not pass there."""
WAITS = (
    "createTimeout", "gatewayMustHaveAddress", "gatewayMustHaveCondition", "gatewayStatusMustHaveListeners", "gatewayListenersMustHaveConditions",
    "listenerSetMustHaveCondition", "listenerSetListenersMustHaveConditions", "gwcMustBeAccepted", "httpRouteMustNotHaveParents", "httpRouteMustHaveCondition",
    "tlsRouteMustHaveCondition", "tcpRouteMustHaveCondition", "udpRouteMustHaveCondition", "routeMustHaveParents", "latestObservedGenerationSet",
)  # fmt: skip


def main() -> int:
    """Install, ask, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--provider", default="envoy", choices=(*OURS, "traefik"))
    parser.add_argument("--channel", default="experimental", choices=("experimental", "standard"))
    parser.add_argument("--out", type=Path, default=ROOT / ".work" / "conformance")
    parser.add_argument("--patient", action="store_true", help="wait as long as upstream does")
    parser.add_argument("--seconds", type=int, default=3600)
    parser.add_argument("tests", nargs="*")
    asked = parser.parse_args()
    install_kinds(asked.channel)
    version, addresses = peer.install(CLASS) if asked.provider == "traefik" else install(asked.provider)
    until(claims, f"the GatewayClass {CLASS} accepted, with what it supports")
    asked.out.mkdir(parents=True, exist_ok=True)
    stem = asked.out / f"{asked.channel}-{version}-{asked.provider}"
    options = stem.with_name(stem.name + "-options.yaml")
    report = stem.with_name(stem.name + "-report.yaml")
    options.write_text(yaml.safe_dump(options_for(asked, version, addresses, report), sort_keys=False))
    return run(options, asked, stem.with_name(stem.name + ".log"))


def install_kinds(channel: str) -> None:
    """The kinds as upstream publishes them."""
    kubectl, folder = Kubectl(""), Path(os.environ["WEIR_CONFORMANCE_KINDS"]) / channel
    files = [str(path) for path in sorted(folder.glob("gateway.*.yaml"))]
    kubectl.must("apply", "--server-side", *(word for path in files for word in ("-f", path)))
    kubectl.must("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")


def install(provider: str) -> tuple[str, dict]:
    """The product as shipped, with instances of this provider for each Gateway. Its version, and the addresses that a Gateway may and may not wish for."""
    kubectl = Kubectl("")
    kubectl.must("apply", "-f", str(ROOT / "deploy" / "crds"))
    kubectl.must("apply", "-k", str(HERE / "install"))
    kubectl.apply(*of_class(provider))
    Install("", "weirkeeper", "").rolled_out()
    return f"v{metadata.version('weirkeeper')}", {
        "usableNetworkAddresses": [{"type": "IPAddress", "value": USABLE}],
        "unusableNetworkAddresses": [{"type": "IPAddress", "value": UNUSABLE}],
    }


def of_class(provider: str) -> list[dict]:
    """The class and what it chooses."""
    chosen = {"group": "weirkeeper.io", "kind": "LoadBalancerClassParameters", "name": CLASS}
    return [
        {
            "apiVersion": "weirkeeper.io/v1alpha1", "kind": chosen["kind"], "metadata": {"name": CLASS},
            "spec": {"provider": provider, "fleet": {"replicas": 1, "exposure": "clusterIP", "namespace": "gateway", "addresses": [f"{USABLE}/32"]}},
        },
        {
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": {"name": CLASS},
            "spec": {"controllerName": "weirkeeper.io/gateway", "parametersRef": chosen},
        },
    ]  # fmt: skip


def claims() -> set[str]:
    """What the class's status says it supports; nothing before it is accepted."""
    status = Kubectl("").read("gatewayclass", CLASS).get("status", {})
    conditions = {one["type"]: one["status"] for one in status.get("conditions", ())}
    return (
        {one["name"] for one in status.get("supportedFeatures", ())} if conditions.get("Accepted") == "True" else set()
    )


def options_for(asked: argparse.Namespace, version: str, addresses: dict, report: Path) -> dict:
    """The suite's file of options."""
    name = "Traefik" if asked.provider == "traefik" else "weirkeeper"
    site = "https://traefik.io" if asked.provider == "traefik" else "https://weirkeeper.io"
    return {
        "gatewayClassName": CLASS,
        "conformanceProfiles": [profile for kind, profile in PROFILES.items() if kind in claims()],
        "mode": asked.provider,
        "cleanupBaseResources": False,
        "reportOutputPath": str(report),
        "implementation": {"organization": name, "project": name, "url": site, "version": version, "contact": [site]},
        **({} if asked.patient else {"timeoutConfig": dict.fromkeys(WAITS, f"{PATIENCE}s")}),
        **addresses,
    }


def run(options: Path, asked: argparse.Namespace, log: Path) -> int:
    """Ask, and tell each test's end as it comes."""
    command = [f"{os.environ['WEIR_CONFORMANCE_BUILT']}/conformance.test", "-test.v", f"-test.timeout={asked.seconds}s"]
    command.append(f"-conformance-options-file={options}")
    if asked.tests:
        command.append(f"-test.run=^TestConformance$/^({'|'.join(asked.tests)})$")
    began, ends = time.monotonic(), []
    with (
        log.open("w") as out,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as suite,
    ):
        for line in suite.stdout or ():
            out.write(line)
            if told := TOLD.match(line):
                ends.append(told.groups())
    failed = [name for how, name, _ in ends if how == "FAIL"]
    passed = sum(how == "PASS" for how, _, _ in ends)
    for how, name, seconds in sorted(ends, key=lambda end: -float(end[2])):
        print(f"{how} {seconds:>7} s  {name}")
    print(
        f"{passed} passed, {len(failed)} failed, {len(ends) - passed - len(failed)} not for it, {time.monotonic() - began:.0f} s; {log}"
    )
    return suite.returncode


if __name__ == "__main__":
    sys.exit(main())

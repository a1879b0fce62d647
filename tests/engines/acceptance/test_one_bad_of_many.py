"""One invalid object of 1,000: the other 999 answer throughout, and the invalid one is told which field is wrong and what to do about it."""

import json

import pytest
from invalid import Kind, kinds
from program import Program, program

from weirkeeper.model.finding import Finding
from weirkeeper.testing.certificates import Authority
from weirkeeper.testing.client import Target, get
from weirkeeper.testing.echo import echo_process
from weirkeeper.testing.eventually import poll_until
from weirkeeper.testing.load import Ask, Plan, load

GOOD = 999
PATIENCE = 60.0

pytestmark = [pytest.mark.engine, pytest.mark.slow]


def good(number: int) -> str:
    host = f"good-{number}.example"
    backend = {"service": {"name": "echo", "port": {"number": 80}}}
    rule = {"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    metadata = {"name": f"good-{number}", "namespace": "good", "creationTimestamp": "2026-01-01T00:00:00Z"}
    spec = {"ingressClassName": "weirkeeper", "rules": [rule]}
    return json.dumps({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec})


def backend(port: int) -> str:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "echo", "namespace": "good"}, "spec": {"ports": [{"port": 80}]}}
    labels = {"kubernetes.io/service-name": "echo"}
    members = {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": "echo", "namespace": "good", "labels": labels},
        "addressType": "IPv4", "ports": [{"port": port}], "endpoints": [{"addresses": ["127.0.0.1"]}],
    }  # fmt: skip
    return json.dumps(service) + "\n---\n" + json.dumps(members)


def said(running: Program) -> list[Finding]:
    return [f for ref, found in running.findings().items() if ref.namespace != "good" for f in found]


def told(running: Program, kind: Kind) -> list[Finding]:
    """The findings that are meant: the right reason, the field named, and a remedy."""
    return [f for f in said(running) if f.reason is kind.reason and kind.field in f.origin.path and f.remedy and f.for_user]


def check(running: Program, kind: Kind) -> str | None:
    """Saves the invalid object, waits until its owner is told, and takes it away again; what was missing, if anything."""
    running.save("bad.yaml", kind.content)
    try:
        poll_until(lambda: told(running, kind), PATIENCE, what=kind.name)
    except AssertionError:
        return f"{kind.name}: expected {kind.reason.name} at {kind.field!r}, but said was " + "; ".join(
            f"{f.reason.name} at {f.origin.path!r}: {f.for_user}" for f in said(running)
        )
    finally:
        running.remove("bad.yaml")
    poll_until(lambda: not said(running), PATIENCE, what=f"nothing is left of: {kind.name}")
    return None


def test_999_answer_while_the_thousandth_is_invalid_in_every_way() -> None:
    with echo_process(name="good") as echo, program() as running:
        running.save("backend.yaml", backend(echo.port))
        for number in range(GOOD):
            running.save(f"good-{number}.json", good(number))
        running.start()
        hosts = [f"good-{number}.example" for number in range(GOOD)]
        poll_until(lambda: answered(running, hosts[-1]) == 200, 60, what="the last host answers")
        assert [host for host in hosts if answered(running, host) != 200] == []
        every = list(kinds(echo.port, Authority(), hosts[0]))
        assert len(every) >= 60
        assert len({kind.name for kind in every}) == len(every)
        asks = tuple(Ask(name=host, host=host) for host in hosts)
        plan = Plan(target=Target(port=running.http_port), asks=asks, connections=4, rate=300, seconds=170)
        with load(plan) as under_load:
            wrong = [missing for kind in every if (missing := check(running, kind)) is not None]
            result = under_load.stop()
        failures = result.failures(lambda record: record.status == 200 and record.answer == "good")
        assert failures == [], f"{len(failures)} of {len(result.records)}: {failures[:5]}"
        assert len({record.target for record in result.records}) == GOOD, "every good host was asked"
        assert wrong == [], "\n".join(wrong)
        assert [host for host in hosts if answered(running, host) != 200] == []


def answered(running: Program, host: str) -> int:
    try:
        return get(f"http://{host}/", via=running.http_port).status
    except OSError:
        return 0

"""An agent of the version before works with this control plane, and this one's with the control plane before: changes arrive, and either takes over what the other programmed."""

import asyncio

import pytest
from cluster_program import LOAD_BALANCER, api_server, endpoint_slice, ingress, ingress_class, service, tls_secret
from haproxy_state import held_by
from replicas_as_processes import Plane, authority_keys, backends, planes
from versions import previous

from weirkeeper.testing.certificates import Authority
from weirkeeper.testing.client import fetch
from weirkeeper.testing.eventually import eventually
from weirkeeper.testing.haproxy_instance import haproxy_instance
from weirkeeper.testing.ports import free_port

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("haproxy versions")]

SORTS = {
    "plain": {},
    "sticky": {"nginx.ingress.kubernetes.io/affinity": "cookie"},
    "limited": {"nginx.ingress.kubernetes.io/limit-rps": "100"},
    "patient": {"nginx.ingress.kubernetes.io/proxy-read-timeout": "30"},
}


AGENT_BEFORE, PLANE_BEFORE, BOTH_BEFORE, NONE_BEFORE = ("before", "now"), ("now", "before"), ("before", "before"), ("now", "now")
"""Of which version the agent is, and the control plane."""


@pytest.mark.parametrize("turn", [AGENT_BEFORE, PLANE_BEFORE], ids=["agent", "control plane"])
def test_one_of_the_version_before_works_with_the_other(tmp_path, turn):
    asyncio.run(_mixed(tmp_path, previous(tmp_path / "previous"), turn))


@pytest.mark.reliability
def test_versions_go_forward_and_back_beside_one_haproxy(tmp_path):
    turns = (NONE_BEFORE, AGENT_BEFORE, BOTH_BEFORE, PLANE_BEFORE, NONE_BEFORE)
    asyncio.run(_mixed(tmp_path, previous(tmp_path / "previous"), *turns))


async def _mixed(folder, old, *turns):
    async with backends("one", "two") as ports, api_server(*_objects(ports)) as server:
        secure = free_port()
        plane = Plane(folder, "replica-0", server.kubeconfig(), free_port(), secure, provider="haproxy")
        async with planes(plane):
            keys = await authority_keys(server)
            async with haproxy_instance(folder / "i0", keys, LOAD_BALANCER, "i0", [plane.server]) as beside:
                for number, (agents, planes_) in enumerate(turns):
                    await _run(plane, beside, *({"before": old, "now": None}[one] for one in (agents, planes_)))
                    await _works(server, plane.http_port, secure, beside, f"t{number}")
                assert "Traceback" not in beside.log + plane.log, (beside.log + plane.log)[-3000:]
                held = _less_frame(await held_by(beside.engine))
            async with haproxy_instance(folder / "clean", keys, LOAD_BALANCER, "clean", [plane.server]) as clean:
                wished = _less_frame(await held_by(clean.engine))
            assert held == wished, sorted(held ^ wished)[:10]


async def _run(plane, beside, agent, control_plane):
    if plane.source != control_plane:
        await plane.end()
        plane.source = control_plane
        plane.start()
        await plane.ready()
    if beside.source != agent:
        beside.kill_agent()
        beside.source = agent
        beside.start_agent()
    await beside.ready()


def _less_frame(rows):
    """Another version may write the same frame in other words."""
    return {row for row in rows if not row.startswith("frame ")}


def _objects(ports):
    made = [ingress_class()]
    for name, port in ports.items():
        made += [service(name), endpoint_slice(name, "127.0.0.1", port)]
    return made


async def _works(server, port, secure, beside, turn):
    """A host of each sort comes, one with TLS among them, and changes its backend."""
    authority = Authority(turn)
    server.put(tls_secret(f"{turn}-pair", authority.issue(f"{turn}-tls.example")))
    for backend in ("one", "two"):
        server.put(ingress(f"{turn}-tls", f"{turn}-tls.example", backend, secret=f"{turn}-pair"))
        for sort, annotations in SORTS.items():
            server.put(ingress(f"{turn}-{sort}", f"{turn}-{sort}.example", backend, annotations=annotations))
        for sort in SORTS:
            await eventually(
                lambda s=sort, b=backend: _by(port, f"{turn}-{s}.example", b),
                60,
                what=f"{turn}: {sort} by {backend}; {beside.log[-2000:]}",
            )
        await eventually(lambda b=backend: _by(secure, f"{turn}-tls.example", b, authority), 60, what=f"{turn}: TLS by {backend}")


async def _by(port, host, backend, authority=None):
    try:
        scheme, more = ("http", {}) if authority is None else ("https", {"trust": authority.pem()})
        answer = await fetch(f"{scheme}://{host}/", via=port, limit=2.0, **more)
        return answer.status == 200 and answer.header("x-echo-name") == backend
    except (OSError, TimeoutError):
        return False

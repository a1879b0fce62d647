"""Several real Envoys on one distributor, without an ``EnvoyEngine``: each has an admin of its own, all have one load balancer.

In: a ``Front`` and a folder. Out: processes that the test may stop, wake and compare. They bind the same ports, which the kernel shares among them.
"""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from real_envoy import Front, Seen
from served import LB

from weirkeeper.distribute.identity import node_id
from weirkeeper.distribute.server import Distributor, MutualTls
from weirkeeper.distribute.store import DesiredStore
from weirkeeper.model.text import Name
from weirkeeper.providers.envoy.binary import envoy_binary
from weirkeeper.providers.envoy.bootstrap import BootstrapSettings, bootstrap
from weirkeeper.providers.envoy.processes import Folder, end, start
from weirkeeper.testing.certificates import Authority, PemPair
from weirkeeper.testing.engines import Admin
from weirkeeper.testing.engines.admin import AdminAway
from weirkeeper.testing.eventually import eventually

TYPE = "type.googleapis.com/"


class Instance:
    """One Envoy of a fleet."""

    def __init__(self, folder: Folder, document: bytes) -> None:
        self.folder, self._document = folder, document
        self.admin = Admin(socket=folder.admin)

    def start(self) -> None:
        binary = envoy_binary()
        assert binary is not None
        self.process = start(self.folder, binary, self._document, 1)

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    async def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has ended by itself
            self.signal(signal.SIGCONT)
        await end(self.folder, self.process)

    async def clusters(self) -> set[str]:
        found = await self.admin.config_dump(resource="dynamic_active_clusters")
        return {one["cluster"]["name"] for one in found.get("configs", ())}

    async def has_asked(self, times: int) -> None:
        """It has begun that many streams: its process need not have started yet."""

        async def look() -> bool:
            try:
                stats = await self.admin.stats("cluster.weirkeeper.")
            except AdminAway:
                return False
            return stats["cluster.weirkeeper.upstream_rq_total"] >= times

        await eventually(look, what=f"{self.folder.path.name} has asked {times} times")

    async def has(self, *clusters: str) -> None:
        async def look() -> bool:
            return set(clusters) <= await self.clusters()

        await eventually(self.admin.ready, 60, what=f"{self.folder.path.name} is live")
        await eventually(look, what=f"{self.folder.path.name} has {clusters}")


@asynccontextmanager
async def distributing(
    front: Front, address: str, tls: MutualTls | None = None, drain: float = 0.2
) -> AsyncIterator[tuple[Distributor, Seen, int]]:
    """The front's items, served at this address."""
    seen = Seen()
    counted: dict[str, Any] = {"provider": Name("envoy"), "drain_seconds": drain}
    distributor = Distributor(DesiredStore(), seen, **counted)
    front.before = {}
    front.changes()
    distributor.replace(front.before)
    port = await distributor.start(address, tls)
    try:
        yield distributor, seen, port
    finally:
        await distributor.stop()


def instance(state: Path, number: int, document: bytes | None = None) -> Instance:
    """An Envoy that is not started yet, fed over ``ads.sock`` unless its bootstrap says otherwise."""
    folder = Folder(state / f"i{number}")
    return Instance(folder, document or settings(state, number))


def settings(state: Path, number: int) -> bytes:
    admin, ads = str(state / f"i{number}" / "admin.sock"), str(state / "ads.sock")
    return bootstrap(BootstrapSettings(node=node_id(LB, f"i{number}"), ads_socket=ads, admin_socket=admin))


def over_tcp(document: bytes, port: int, authority: Authority, pair: PemPair) -> bytes:
    """The same bootstrap, but with the server on TCP, verified, and with a certificate of its own."""
    made = json.loads(document)
    (cluster,) = made["static_resources"]["clusters"]
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    cluster["load_assignment"]["endpoints"] = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    tls = {
        "alpn_protocols": ["h2"],
        "tls_certificates": [
            {
                "certificate_chain": {"inline_string": pair.certificate.decode()},
                "private_key": {"inline_string": pair.key.decode()},
            }
        ],
        "validation_context": {"trusted_ca": {"inline_string": authority.pem().decode()}},
    }
    kind = TYPE + "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
    cluster["transport_socket"] = {"name": "tls", "typed_config": {"@type": kind, "common_tls_context": tls}}
    return json.dumps(made).encode()


@asynccontextmanager
async def fleet(*instances: Instance) -> AsyncIterator[None]:
    """These Envoys, started, and ended with the block."""
    try:
        for one in instances:
            one.start()
        yield
    finally:
        await asyncio.gather(*(one.end() for one in instances))

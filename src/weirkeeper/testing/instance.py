"""A real Envoy as an instance of a cluster install: it dials the replicas with a certificate of the install's own authority.

Comes in: the authority's keys, where the replicas listen, a folder. Goes out: a process that serves whatever the replicas say, and its admin. What `weir sidecar` does in
a pod is done here by hand, so that tests and benchmarks need no pod.
"""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from weirkeeper.distribute.authority import SERVER_NAME, AuthorityKeys, Issued, issue_instance, new_request
from weirkeeper.distribute.identity import node_id
from weirkeeper.model.text import Id
from weirkeeper.providers.envoy.binary import envoy_binary
from weirkeeper.providers.envoy.bootstrap import (
    CERTIFICATE,
    TRUST,
    BootstrapSettings,
    Remote,
    bootstrap,
    certificate_document,
    trust_document,
)
from weirkeeper.providers.envoy.processes import Folder, end, start
from weirkeeper.testing.engines import Admin

LIFE = dt.timedelta(days=1)


def certify(folder: Path, keys: AuthorityKeys, load_balancer: Id, instance: str, life: dt.timedelta = LIFE) -> None:
    """Put a certificate for this instance where its Envoy looks for it."""
    key, request = new_request()
    made = issue_instance(keys, request, load_balancer, instance, dt.datetime.now(dt.UTC), life=life)
    assert isinstance(made, Issued)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    documents = {
        CERTIFICATE: certificate_document(made.chain, key.open()),
        TRUST: trust_document(made.authority, SERVER_NAME),
    }
    for name, content in documents.items():
        (folder / "new").write_bytes(content)
        (folder / "new").rename(folder / f"{name}.json")


def instance_bootstrap(
    folder: Path, load_balancer: Id, instance: str, servers: Sequence[str], addresses: Sequence[str] = ()
) -> tuple[Folder, bytes]:
    """The folder of its process, and its bootstrap."""
    process = Folder(folder / "envoy")
    document = bootstrap(
        BootstrapSettings(
            node=node_id(load_balancer, instance),
            admin_socket=str(process.admin),
            addresses=tuple(addresses),
            remote=Remote(servers=tuple(servers), server_name=SERVER_NAME, folder=str(folder / "tls")),
        )
    )
    return process, document


@asynccontextmanager
async def instance(
    folder: Path, keys: AuthorityKeys, load_balancer: Id, name: str, servers: Sequence[str], *,
    addresses: Sequence[str] = (), workers: int = 1,
) -> AsyncIterator[Admin]:  # fmt: skip
    """An Envoy that runs until the block ends."""
    certify(folder / "tls", keys, load_balancer, name)
    process, document = instance_bootstrap(folder, load_balancer, name, servers, addresses)
    binary = await asyncio.to_thread(envoy_binary)
    assert binary is not None, "there is no Envoy on this machine"
    running = start(process, binary, document, workers)
    try:
        yield Admin(socket=process.admin)
    finally:
        await end(process, running)

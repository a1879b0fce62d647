"""The record of published addresses under the shipped rights, on a real API server with RBAC: deleted by hand, it is made again, with all that it said."""

import asyncio
import contextlib
import io
import json
from pathlib import Path

import pytest
import yaml

from weirkeeper.kube.client import Client
from weirkeeper.kube.errors import Forbidden, NotFound
from weirkeeper.kube.lease import LeaseTimes
from weirkeeper.kube.types import AddressStatus
from weirkeeper.runtime import published
from weirkeeper.runtime.leader import Leadership
from weirkeeper.runtime.logging import Log
from weirkeeper.runtime.metrics import Metrics
from weirkeeper.runtime.published import CONFIG_MAP, KEY, PublishedRecord
from weirkeeper.runtime.writes import LedClient
from weirkeeper.testing.eventually import eventually

pytestmark = pytest.mark.cluster

NAME = "weirkeeper-published"
RIGHTS = Path(__file__).parents[2] / "deploy" / "kustomize" / "base" / "rights.yaml"


def shipped_role():
    return next(one for one in yaml.safe_load_all(RIGHTS.read_text()) if one["kind"] == "Role")


def bind(real, namespace):
    """The user has the shipped rights, and no others."""
    role = {**shipped_role(), "metadata": {"name": "weirkeeper", "namespace": namespace}}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "weirkeeper", "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "weirkeeper"},
        "subjects": [{"kind": "User", "name": "user", "apiGroup": "rbac.authorization.k8s.io"}],
    }  # fmt: skip
    real.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": [role, binding]}))


def address(number):
    return AddressStatus(ip=f"192.0.2.{number}")


@contextlib.asynccontextmanager
async def led(client, namespace):
    leadership = Leadership(client, name="weirkeeper", namespace=namespace, identity="one", log=Log(io.StringIO()), metrics=Metrics(), times=LeaseTimes())
    gained = asyncio.Event()

    async def leads():
        gained.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(leadership.run(leads))
    try:
        await asyncio.wait_for(gained.wait(), 60)
        yield LedClient(client, leadership)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def noted(admin, namespace):
    try:
        found = await admin.get(CONFIG_MAP, NAME, namespace)
    except NotFound:
        return None
    return [line for line in found.get("data", {}).get(KEY, "").splitlines() if line]


def test_deleted_by_hand_it_is_made_again_under_the_shipped_rights(real, access, namespace, monkeypatch):
    monkeypatch.setattr(published, "LOOK", 0.05)
    bind(real, namespace)

    async def scenario():
        async with Client(access("admin")) as admin, Client(access("user")) as client:
            await eventually(lambda: _may(client, namespace), 60, what="the rights are known to the server")
            async with led(client, namespace) as writes:
                record = PublishedRecord(writes, name=NAME, namespace=namespace, log=Log(io.StringIO()))
                await record.load()
                await record.note([address(1), address(2)])
                assert len(await noted(admin, namespace)) == 2
                found = await admin.get(CONFIG_MAP, NAME, namespace)
                await admin.delete(CONFIG_MAP, NAME, namespace, uid=found["metadata"]["uid"])
                await record.note([address(3)])
                assert len(await noted(admin, namespace)) == 3, "whoever publishes something new finds out"
                keeping = asyncio.create_task(record.keep())
                try:
                    for trouble in (_deleted, _emptied):
                        await trouble(admin, namespace)
                        await eventually(lambda: _holds(admin, namespace, 3), 60, what="it is noted again")
                finally:
                    keeping.cancel()
                    await asyncio.wait((keeping,))
                with pytest.raises(Forbidden):
                    await writes.ensure(CONFIG_MAP, "another", namespace)

    asyncio.run(scenario())


async def _deleted(admin, namespace):
    found = await admin.get(CONFIG_MAP, NAME, namespace)
    await admin.delete(CONFIG_MAP, NAME, namespace, uid=found["metadata"]["uid"])


async def _emptied(admin, namespace):
    await admin.patch(CONFIG_MAP, NAME, {"data": None}, namespace)


async def _may(client, namespace):
    try:
        await client.get(CONFIG_MAP, NAME, namespace)
    except NotFound:
        return True
    except Forbidden:
        return False
    return True


async def _holds(admin, namespace, count):
    return len(await noted(admin, namespace) or ()) == count

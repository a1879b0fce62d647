"""An object that is deleted and made anew while its status is being written: the refusal of the write is about the one before."""

import asyncio
import io

import msgspec
import pytest

from weirkeeper.feeds.base import Cause, Seen
from weirkeeper.kube.conditions import ConditionsWish, ListenerReport, Report
from weirkeeper.kube.errors import Conflict, NotFound
from weirkeeper.kube.gateway_types import GROUP, Gateway
from weirkeeper.kube.types import Ingress
from weirkeeper.model.ids import Ref
from weirkeeper.model.observation import StatusWish
from weirkeeper.runtime.condition_writer import ConditionWriter
from weirkeeper.runtime.logging import Log
from weirkeeper.runtime.metrics import Metrics
from weirkeeper.runtime.published import PublishedRecord
from weirkeeper.runtime.status_writer import StatusWriter

GATEWAY = Ref(group=GROUP, kind="Gateway", namespace="shop", name="front")
INGRESS = Ref(group="networking.k8s.io", kind="Ingress", namespace="shop", name="front")
KINDS = {GATEWAY: (Gateway, f"{GROUP}/v1"), INGRESS: (Ingress, "networking.k8s.io/v1")}


def body(ref, version):
    return {
        "apiVersion": KINDS[ref][1],
        "kind": ref.kind,
        "metadata": {"name": ref.name, "namespace": ref.namespace, "uid": f"uid-{version}", "resourceVersion": version},
    }


def seen(ref, version):
    return Seen(ref=ref, object=msgspec.convert(body(ref, version), KINDS[ref][0]))


class Server:
    """The API server's part: the first write meets an object that is gone, and whose successor the watch has brought already."""

    def __init__(self, ref, *, conflict):
        self.ref, self.conflict, self.written = ref, conflict, asyncio.Event()
        self.first = True

    def missing(self):
        self.writer.seen([Seen(ref=self.ref, cause=Cause.DELETED), seen(self.ref, "9")])
        return NotFound("it is not there", status=404, reason="NotFound")

    async def patch(self, resource, name, fields, namespace, subresource):
        if resource.kind != self.ref.kind:
            return fields
        if self.first:
            self.first = False
            raise Conflict("older", status=409) if self.conflict else self.missing()
        assert fields["metadata"]["resourceVersion"] == "9"
        self.written.set()
        return {**body(self.ref, "10"), "status": fields["status"]}

    async def get(self, resource, name, namespace):
        if resource.kind != self.ref.kind:
            raise NotFound("no record yet", status=404, reason="NotFound")
        raise self.missing()

    async def create(self, resource, fields, namespace):
        return {**fields, "metadata": {**fields["metadata"], "resourceVersion": "1"}}


def conditions(server):
    log, metrics = Log(io.StringIO()), Metrics()
    writer = ConditionWriter(server, "weirkeeper.io/gateway", log=log, metrics=metrics, caution=0.0)
    report = Report(controller="weirkeeper.io/gateway", generation=1, listeners=(ListenerReport(name="http", attached=1),))
    return writer, {GATEWAY: ConditionsWish(ref=GATEWAY, report=report, addresses=())}


def addresses(server):
    log = Log(io.StringIO())
    record = PublishedRecord(server, name="weirkeeper", namespace="weirkeeper", log=log)
    writer = StatusWriter(server, record, manager="weirkeeper", log=log, metrics=Metrics(), caution=0.0)
    return writer, {INGRESS: StatusWish(ref=INGRESS, addresses=(("192.0.2.7", ""),))}


@pytest.mark.parametrize("conflict", [False, True], ids=["gone when written", "gone when read again"])
@pytest.mark.parametrize(("ref", "made"), [(GATEWAY, conditions), (INGRESS, addresses)], ids=["conditions", "addresses"])
def test_the_new_one_is_written_at_once(ref, made, conflict):
    async def scenario():
        server = Server(ref, conflict=conflict)
        server.writer, wishes = made(server)
        server.writer.seen([seen(ref, "3")])
        server.writer.wished(wishes)
        running = asyncio.create_task(server.writer.run())
        try:
            await asyncio.wait_for(server.written.wait(), 30)
        finally:
            running.cancel()
            await asyncio.wait((running,))

    asyncio.run(scenario())

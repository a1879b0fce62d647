"""A second controller that writes its own entries all the time, into every list of a status that is shared: what it wrote last is there in the end, and so is what we say."""

import asyncio
import random

from either import Fake
from leading import on_server
from test_condition_writer import OURS, body, writing

from weirkeeper.kube.conditions import Condition, ConditionsWish, ListenerReport, ParentReport, Report
from weirkeeper.kube.errors import Conflict
from weirkeeper.kube.gateway_policies import BackendTLSPolicy
from weirkeeper.kube.gateway_routes import GRPCRoute, HTTPRoute
from weirkeeper.kube.gateway_types import GROUP, RESOURCES, Gateway, ListenerSet
from weirkeeper.model.ids import Ref
from weirkeeper.runtime.condition_writer import Pace
from weirkeeper.testing.apiserver.kinds import custom
from weirkeeper.testing.eventually import eventually

THEIRS, TURNS = "example.com/other", 40
TYPES = {"HTTPRoute": HTTPRoute, "GRPCRoute": GRPCRoute, "BackendTLSPolicy": BackendTLSPolicy, "Gateway": Gateway, "ListenerSet": ListenerSet}  # fmt: skip
LISTS = {"HTTPRoute": ("parents", "parentRef"), "GRPCRoute": ("parents", "parentRef"), "BackendTLSPolicy": ("ancestors", "ancestorRef")}  # fmt: skip


def wish(kind, namespace, turn):
    """What we say of an object in a turn."""
    ref = Ref(group=GROUP, kind=kind, namespace=namespace, name="x")
    good = (Condition(type="Accepted", status="True", reason="Accepted", message=f"turn {turn}"),)
    if kind in LISTS:
        parents = (ParentReport(reference=(("name", "g"),), conditions=good),)
        report = Report(controller=OURS, generation=1, parents=parents, of=LISTS[kind][0])
    else:
        listeners = (ListenerReport(name="http", attached=turn, conditions=good),)
        report = Report(controller=OURS, generation=1, conditions=good, listeners=listeners)
    return {ref: ConditionsWish(ref=ref, report=report)}


def split(kind, status):
    """What is ours and what is theirs in a status, each in the order of its lists."""
    if kind in LISTS:
        entries = status.get(LISTS[kind][0]) or []
        ours = [text(one) for entry in entries if entry["controllerName"] == OURS for one in entry["conditions"]]
        return ours, [entry for entry in entries if entry["controllerName"] == THEIRS]
    listed = [*(status.get("conditions") or []), *(one for entry in status.get("listeners") or [] for one in entry["conditions"])]  # fmt: skip
    return [text(one) for one in listed if one["type"] == "Accepted"], [one for one in listed if one["type"] == "Odd"]


def text(one):
    return one["message"]


def rewritten(kind, status, turn, chance):
    """The status as the other controller wants it: its own entries new and anywhere, and nothing else touched."""
    odd = {"type": "Odd", "status": "True", "number": turn}
    if kind in LISTS:
        name, reference = LISTS[kind]
        kept = [one for one in status.get(name) or [] if one["controllerName"] != THEIRS]
        for part in range(chance.randint(1, 3)):
            entry = {reference: {"name": f"p{part}"}, "controllerName": THEIRS, "conditions": [odd]}
            kept.insert(chance.randint(0, len(kept)), entry)
        return {name: kept}
    return {
        "conditions": with_odd(status.get("conditions") or [], odd, chance),
        "listeners": [
            {**one, "conditions": with_odd(one["conditions"], odd, chance)} for one in status.get("listeners") or []
        ],
    }


def with_odd(conditions, odd, chance):
    kept = [one for one in conditions if one["type"] != "Odd"]
    kept.insert(chance.randint(0, len(kept)), odd)
    return kept


async def rival(client, namespace, kind, chance):
    """Writes as fast as it can; what it wrote last is returned."""
    for turn in range(TURNS):
        while True:
            found = await client.get(RESOURCES[GROUP, kind], "x", namespace)
            status = rewritten(kind, found.get("status") or {}, turn, chance)
            fields = {"metadata": {"resourceVersion": found["metadata"]["resourceVersion"]}, "status": status}
            try:
                made = await client.patch(RESOURCES[GROUP, kind], "x", fields, namespace, "status")
            except Conflict:
                continue
            break
        await asyncio.sleep(0)
    return split(kind, made["status"])[1]


def test_a_rival_that_writes_all_the_time_loses_nothing_anywhere():
    async def scenario(client, namespace, api):
        for kind in TYPES:
            plural = RESOURCES[GROUP, kind].plural
            api.serve(custom(plural, kind, group=GROUP, version="v1", status=True))
            await client.create(RESOURCES[GROUP, kind], body(kind, "x"), namespace)
        chance = random.Random(11)
        kinds = tuple((RESOURCES[GROUP, kind], made) for kind, made in TYPES.items())
        async with writing(client, namespace, kinds, pace=Pace(0.0, 0.0, 0.0)) as writer:
            rivals = {kind: asyncio.create_task(rival(client, namespace, kind, chance)) for kind in TYPES}
            turn = 0
            while not all(one.done() for one in rivals.values()):
                turn += 1
                for kind in TYPES:
                    writer.wished(wish(kind, namespace, turn))
                await asyncio.sleep(0.01)
            last = {kind: await task for kind, task in rivals.items()}

            async def said(kind, ours):
                found = split(kind, (await client.get(RESOURCES[GROUP, kind], "x", namespace))["status"])
                return bool(found[0] or not ours) and set(found[0]) == ours and found[1]

            for kind in TYPES:
                assert last[kind], kind
                theirs = await eventually(lambda kind=kind: said(kind, {f"turn {turn}"}), 60.0, what=f"we have our say of the {kind}")  # fmt: skip
                assert theirs == last[kind], kind
            written = [one for one in api.audit.writes if one.subresource == "status"]
            assert len(written) > len(TYPES) * (TURNS + 2), "both have written, again and again"
            writer.wished({ref: None for kind in LISTS for ref in wish(kind, namespace, 0)})
            for kind in LISTS:
                assert await eventually(lambda kind=kind: said(kind, set()), 60.0, what=f"ours is gone from the {kind}") == last[kind]  # fmt: skip

    on_server(Fake(), scenario)

"""B9, status convergence: 1,000 Ingresses created as fast as the API server takes them, each write of anybody taking it 5 ms; how long after the last until all statuses are right.

The fake API server is a process of its own; its audit says when each write of a status was answered, and how many there were. A real Envoy is the instance whose address the statuses show,
so each is written only after that Envoy has taken the configuration. Between rounds all of them are deleted.
"""

import contextlib
import time
from collections import Counter

import msgspec

from bench import kube
from bench.b2 import kubeconfig_of
from bench.cluster import envoy, keys_of, weir
from bench.figures import machine, rounds, save, table
from bench.stand import backends, scratch
from weirkeeper.testing.apiserver import ApiServerProcess, apiserver_process

ADDRESS = "192.0.2.7"
DELAY_MS = 5
PARALLEL = 32


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A round. `after_last_s`: from the last creation's answer to the last status write's; `writes`: of statuses, by us; `most`: for one Ingress."""

    round: int
    ingresses: int
    create_s: float
    after_last_s: float
    writes: int
    most: int
    conflicts: int
    weir_cpu_s: float


def created(kubeconfig: str, held: list[dict]) -> tuple[float, float]:
    """Create all; when it began and when the last was answered (monotonic seconds)."""
    began = time.monotonic()
    kube.bulk(kubeconfig, iter(held), PARALLEL)
    return began, time.monotonic()


def entries(api: kube.Api) -> dict[str, list[str]]:
    """What each Ingress's status says."""
    found = api.get("/apis/networking.k8s.io/v1/ingresses")["items"]
    return {one["metadata"]["name"]: [e.get("ip", "") for e in one.get("status", {}).get("loadBalancer", {}).get("ingress", ())] for one in found}


def status_writes(server: ApiServerProcess) -> list[dict]:
    records = server.control("audit", {"plural": "ingresses"})["records"]
    return [one for one in records if one.get("subresource") == "status" and one["agent"].startswith("weirkeeper")]


def until_all(server: ApiServerProcess, count: int, seconds: float = 60.0) -> list[dict]:
    """The writes, once as many Ingresses were written and nothing more comes for a while."""
    deadline, before = time.monotonic() + seconds, -1
    while time.monotonic() < deadline:
        writes = status_writes(server)
        if len({one["name"] for one in writes if one["status"] < 300}) >= count and len(writes) == before:
            return writes
        before = len(writes)
        time.sleep(0.5)
    raise TimeoutError(f"{before} status writes for {count} Ingresses")


def one_round(turn: int, count: int, server: ApiServerProcess, kubeconfig: str, api: kube.Api, cpu) -> Row:
    held = [kube.ingress(f"i{turn}-{n}", f"h{n}.apps.example", f"s{n % 10}") for n in range(count)]
    server.control("clear-audit")
    spent = cpu()
    began, last = created(kubeconfig, held)
    writes = until_all(server, count)
    after = cpu()
    wrong = {name: found for name, found in entries(api).items() if found != [ADDRESS]}
    assert not wrong, f"wrong statuses: {list(wrong.items())[:5]}"
    good = [one for one in writes if one["status"] < 300]
    by_name = Counter(one["name"] for one in good)
    row = Row(
        round=turn, ingresses=count, create_s=last - began, after_last_s=max(one["at"] for one in good) - last, writes=len(good), most=max(by_name.values()),
        conflicts=sum(one["status"] == 409 for one in writes), weir_cpu_s=after - spent,
    )  # fmt: skip
    server.control("write-delay", {"seconds": 0})
    kube.bulk_delete(kubeconfig, held)
    server.control("write-delay", {"seconds": DELAY_MS / 1000})
    return row


def measured(count: int, rounds: int) -> list[Row]:
    """That many rounds."""
    rows: list[Row] = []
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(scratch())
        port = stack.enter_context(backends(place, "a", ("0.0.0.0",)))["a"]
        server = stack.enter_context(apiserver_process("--write-delay-ms", str(DELAY_MS)))
        kubeconfig = kubeconfig_of(server)
        for one in (kube.namespace(kube.NAMESPACE), kube.ingress_class()):
            server.control("put", one)
        for n in range(10):
            server.control("put", kube.service(f"s{n}"))
            server.control("put", kube.endpoint_slice(f"s{n}", [kube.address(n)], port))
        plane = stack.enter_context(weir(place, kubeconfig))
        engine = stack.enter_context(envoy(place, keys_of(kubeconfig, plane), plane, address=ADDRESS))
        plane.ready()
        api = kube.Api(kubeconfig)
        stack.callback(api.close)
        api.create(kube.ingress("first", "first.apps.example", "s0"))
        until_all(server, 1)
        assert engine.listens()
        for turn in range(rounds):
            time.sleep(1.0)
            rows.append(one_round(turn, count, server, kubeconfig, api, lambda: plane.usage().cpu))
            print(f"  {rows[-1]}", flush=True)
    return rows


def printed(rows: list[Row]) -> str:
    columns = [field for field in Row.__struct_fields__ if field != "round"]
    return table(("B9: round", *columns), [(row.round, *(getattr(row, column) for column in columns)) for row in rows])


def run(*, quick: bool) -> str:
    about = machine()
    rows = measured(100, 2) if quick else measured(1000, rounds(5))
    by_time = sorted(rows, key=lambda row: row.after_last_s)
    save("b9", rows, {"delay_ms": DELAY_MS, "median": msgspec.to_builtins(by_time[len(by_time) // 2]), "worst": msgspec.to_builtins(by_time[-1])}, about, quick=quick)
    return printed(rows)

"""B8, HTTPS hosts: N hosts by SNI, each with a certificate of its own; new ones come, certificates are rotated, and nothing is dropped elsewhere.

The clock starts when the intake is handed the Secret (of a new host: the first of its two objects) and ends when a *new* connection to every worker has had a good
handshake with just that certificate (by its SHA-256) and, for a new host, a 200 on it. Each worker is met on purpose, by a source port known to lead to it
(`clients`), and its own counter is compared at the end. Meanwhile keep-alive TLS connections to other hosts are loaded and may not lose anything.
"""

import contextlib
import hashlib
import ssl
import time

from bench import objects
from bench.clients import Connection, WrongAnswer, answer, source_ports, until_live, worker_counts
from bench.figures import machine, save, summary, table
from bench.objects import Folder, Row
from bench.stand import Plane, backends, plane, scratch
from weirkeeper.testing.certificates import Authority, PemPair
from weirkeeper.testing.client import ClientTls, Target
from weirkeeper.testing.load import Ask, Plan, load

PATIENCE, PAUSE = 20.0, 0.0002
LOADED = 4


def host(n: int) -> str:
    return f"h{n}.apps.example"


def context() -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    return made


def secret(n: int, pair: PemPair) -> str:
    return objects.tls_secret(f"t{n}", pair.certificate, pair.key)


def files(place, size: int, port: int, authority: Authority, first: PemPair) -> Folder:
    folder = Folder(place)
    folder.put("revisions.yaml", objects.config_maps())
    folder.many("services", objects.services(10, port))
    for n in range(size):
        folder.put(f"t{n}.yaml", secret(n, authority.issue(host(n)) if n else first))
        folder.put(f"i{n}.yaml", objects.ingress(f"i{n}", host(n), f"s{n % 10}", secret=f"t{n}"))
    return folder


class Prober:
    """New handshakes with each worker."""

    def __init__(self, made: Plane) -> None:
        self.plane, self.tls = made, context()
        self.sources = source_ports(made, made.https, self.tls, host(0))
        self.counts = worker_counts(made, made.https)
        self.tries = dict.fromkeys(self.sources, 0)

    def look(self, worker: int, name: str, fingerprint: str) -> bool:
        """Whether that worker now shows this certificate and answers 200."""
        self.tries[worker] += 1
        with contextlib.suppress(OSError, WrongAnswer):  # no handshake yet: this host's certificate is not there
            connection = Connection(self.plane.https, self.sources[worker], self.tls, name)
            try:
                shown = hashlib.sha256(connection.stream.getpeercert(binary_form=True)).hexdigest()
                return shown == fingerprint and answer(connection, name, "/") == f"200 {objects.rev(0)}"
            finally:
                connection.close()
        return False

    def until(self, name: str, fingerprint: str) -> int:
        waiting, deadline, ended = set(self.sources), time.monotonic() + PATIENCE, 0
        while waiting:
            for worker in sorted(waiting):
                if self.look(worker, name, fingerprint):
                    ended = time.monotonic_ns()
                    waiting.discard(worker)
            if waiting:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{name} never had its certificate on workers {waiting}")
                time.sleep(PAUSE)
        return ended

    def spread(self) -> dict[int, tuple[int, int]]:
        """For each worker, connections that were made on purpose and that its counter shows (with the load's own)."""
        now = worker_counts(self.plane, self.plane.https)
        return {worker: (self.tries[worker], now[worker] - self.counts[worker]) for worker in self.sources}


def cell(size: int, changes: int) -> tuple[list[Row], dict]:
    with contextlib.ExitStack() as stack:
        place, authority = stack.enter_context(scratch()), Authority()
        port = stack.enter_context(backends(place))["a"]
        first = authority.issue(host(0))
        made = stack.enter_context(plane(place, files(place / "f", size, port, authority, first)))
        took = until_live(made.http, host(size - 1), "/", "308")
        prober = Prober(made)
        print(f"  {size} SNI hosts: serves after {took:.1f} s; workers by source port: {prober.sources}", flush=True)
        loads = [
            stack.enter_context(load(Plan(target=Target(port=made.https, tls=ClientTls(sni=host(n))), asks=(Ask(name=str(n), host=host(n)),), connections=2, rate=50.0, token="x-rev", seconds=280.0)))
            for n in range(LOADED)
        ]  # fmt: skip
        time.sleep(1.0)
        rows: list[Row] = []
        for number in range(changes):
            for change in ("new", "rotated"):
                n = size + number if change == "new" else LOADED + (number * 7919) % (size - LOADED)
                rows.append(one(made, prober, size, number, change, n, authority.issue(host(n))))
                time.sleep(0.05)
            rows.append(floor(made, prober, size, number, first))
        results = [running.stop() for running in loads]
        lost = [r for result in results for r in result.failures(lambda r: r.status == 200 and r.answer == objects.rev(0))]
        about = {"requests_elsewhere": sum(len(r.records) for r in results), "failures_elsewhere": len(lost), "reconnects_elsewhere": sum(r.reconnects for r in results), "connections_made_and_counted": prober.spread()}
        usage = made.usage()
        about |= {"weir_rss_mb": round(usage[0].rss / 2**20), "envoy_rss_mb": round(usage[1].rss / 2**20), "first_load_s": round(took, 1)}
        return rows, about


def one(made: Plane, prober: Prober, size: int, number: int, change: str, n: int, pair: PemPair) -> Row:
    if change == "rotated":
        for worker in prober.sources:  # a certificate that is in use, not one that nobody has asked for
            prober.look(worker, host(n), "")
    texts = {f"t{n}.yaml": secret(n, pair)}
    if change == "new":
        texts[f"i{n}.yaml"] = objects.ingress(f"i{n}", host(n), f"s{n % 10}", secret=f"t{n}")
    began = time.monotonic_ns()
    for name, text in texts.items():
        made.folder.put(name, text)
    renamed = time.monotonic_ns()
    offered = made.seen(f"Secret/t{n}", began)  # nobody knocks before the clock starts
    if change == "new":
        offered = min(offered, made.seen(f"Ingress/i{n}", began))
    ended = prober.until(host(n), pair.fingerprint())
    return Row(system="weir", case="sni", size=size, change=change, number=number, ms=(ended - offered) / 1e6, from_rename_ms=(ended - renamed) / 1e6, workers=len(prober.sources))


def floor(made: Plane, prober: Prober, size: int, number: int, pair: PemPair) -> Row:
    """What the same look costs where nothing changed: a handshake and a request with each worker, one after the other, by this client."""
    began = time.monotonic_ns()
    ended = prober.until(host(0), pair.fingerprint())
    return Row(system="weir", case="sni", size=size, change="nothing", number=number, ms=(ended - began) / 1e6, workers=len(prober.sources))


def run(*, quick: bool) -> str:
    about, rows, figures = machine(), [], {}
    for size, changes in ((200, 10),) if quick else ((2500, 100), (10000, 50)):
        more, beside = cell(size, changes)
        rows += more
        for change in ("new", "rotated", "nothing"):
            mine = [r for r in rows if (r.size, r.change) == (size, change)]
            figures[f"{size} {change}"] = summary([r.ms for r in mine]) | {"rename_p50": summary([r.from_rename_ms for r in mine])["p50"]}
        figures[f"{size} beside"] = beside
        save("b8", rows, figures, about, quick=quick)
    text = table(("B8: SNI hosts, change", "n", "p50 ms", "p99", "max", "from rename p50"), [(k, f["n"], f["p50"], f["p99"], f["max"], f["rename_p50"]) for k, f in figures.items() if "p50" in f])
    return text + "".join(f"\n{k}: {f}" for k, f in figures.items() if k.endswith("beside"))

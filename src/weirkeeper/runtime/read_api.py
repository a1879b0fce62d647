"""The running program, readable: JSON over a Unix socket that only its owner may open.

Comes in: GET requests. Goes out: derived tables, findings, item versions, recent changes, numbers and the recorded reads of a row. Nothing can be changed
here, and nothing of a Secret leaves: input tables are named but never shown, and secrets in the model print as hidden.
"""

import asyncio
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from weirkeeper.flow import Explained, MissingRead, Table
from weirkeeper.model.secret import hide
from weirkeeper.reconcile import Reconciler
from weirkeeper.runtime.changes import Changes
from weirkeeper.runtime.intake import Intake
from weirkeeper.runtime.metrics import Metrics

Explain = Callable[[Reconciler, Mapping[str, str], tuple[str, ...]], object]
"""Answers "why" for a URL: the reconciler, the query's single values and its headers (`Name: value`)."""

SHOWN = (
    "load_balancers", "listeners", "virtual_hosts", "l4_routes", "backends", "endpoint_sets", "findings", "statuses",
)  # fmt: skip


class ReadApi:
    """The read API of one program."""

    def __init__(
        self,
        path: Path,
        *,
        reconciler: Reconciler,
        intake: Intake,
        changes: Changes,
        metrics: Metrics,
        explain: Explain | None,
    ) -> None:
        self._path, self._reconciler, self._intake = path, reconciler, intake
        self._changes, self._metrics, self._explain_url = changes, metrics, explain

    async def run(self) -> None:
        """Serve until cancelled; the socket goes with it."""
        runner = web.AppRunner(self._application(), access_log=None, handle_signals=False)
        await runner.setup()
        try:
            await self._listen(runner)
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()
            self._path.unlink(missing_ok=True)

    async def _listen(self, runner: web.AppRunner) -> None:
        """The socket is born in a folder that nobody else may enter, and moves out with mode 0600: there is no moment at which others may open it."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", dir=self._path.parent) as cradle:
            born = Path(cradle) / "s"
            await web.UnixSite(runner, str(born)).start()
            born.chmod(0o600)
            born.rename(self._path)

    def _application(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/", self._index)
        app.router.add_get("/tables", self._tables)
        app.router.add_get("/tables/{name}", self._table)
        app.router.add_get("/findings", self._findings)
        app.router.add_get("/items", self._items)
        app.router.add_get("/changes", self._recent)
        app.router.add_get("/metrics", self._numbers)
        app.router.add_get("/explain", self._explain)
        return app

    async def _index(self, _: web.Request) -> web.Response:
        return _json(
            {
                "paths": [
                    "/tables",
                    *(f"/tables/{n}" for n in SHOWN),
                    "/findings",
                    "/items",
                    "/changes",
                    "/metrics",
                    "/explain?url=",
                    "/explain?table=&key=",
                ]
            }
        )

    async def _tables(self, _: web.Request) -> web.Response:
        async with self._intake.still:
            graph = self._reconciler.graph
            sizes = {name: len(graph.rows(table)) for name, table in graph.tables.items() if isinstance(table, Table)}
        return _json(sizes)

    async def _table(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in SHOWN:
            raise web.HTTPNotFound(text=f"there is no such table to read; these are: {', '.join(SHOWN)}\n")
        wanted = request.query.get("key")
        async with self._intake.still:
            rows = dict(self._reconciler.graph.rows(getattr(self._reconciler.program, name)))
        shown = [{"key": _key(key), "value": row} for key, row in rows.items() if wanted in (None, _key(key))]
        return _json(sorted(shown, key=lambda row: str(row["key"])))

    async def _findings(self, _: web.Request) -> web.Response:
        async with self._intake.still:
            found = [
                f for many in self._reconciler.graph.rows(self._reconciler.program.findings).values() for f in many
            ]
        return _json(sorted(found, key=lambda f: f.sort_key))

    async def _items(self, _: web.Request) -> web.Response:
        async with self._intake.still:
            graph, items = self._reconciler.graph, self._reconciler.program.items
            rows = [(name, key, item) for name, table in items.items() for key, item in graph.rows(table).items()]
        return _json([
            {"provider": name, "load_balancer": key.load_balancer, "kind": key.kind, "name": key.name,
             "version": item.version, "bytes": len(item.whole), "origins": [str(o) for o in item.origins]}
            for name, key, item in sorted(rows, key=lambda row: row[:2])
        ])  # fmt: skip

    async def _recent(self, _: web.Request) -> web.Response:
        return _json({"done": list(self._changes.done), "under_way": self._changes.under_way})

    async def _numbers(self, _: web.Request) -> web.Response:
        return web.Response(text=self._metrics.text())

    async def _explain(self, request: web.Request) -> web.Response:
        if "url" in request.query:
            if self._explain_url is None:
                raise web.HTTPNotImplemented(text="this program cannot explain URLs\n")
            async with self._intake.still:
                answer = self._explain_url(
                    self._reconciler, dict(request.query), tuple(request.query.getall("header", []))
                )
            return _json(answer)
        async with self._intake.still:
            return _json(self._reads(request.query.get("table", ""), request.query.get("key", "")))

    def _reads(self, name: str, wanted: str) -> object:
        graph = self._reconciler.graph
        table = graph.tables.get(name)
        if not isinstance(table, Table):
            raise web.HTTPNotFound(text=f"there is no table {name!r}\n")
        key = next((key for key in graph.rows(table) if _key(key) == wanted), None)
        if key is None:
            raise web.HTTPNotFound(text=f"there is no row {wanted!r} in {name}\n")
        return _told(graph.explain(table, key))


def _told(read: Explained | MissingRead) -> dict[str, Any]:
    """The tree without values: an input may be a Secret."""
    if isinstance(read, MissingRead):
        return {"table": read.table, "key": _key(read.key), "missing": True}
    told: dict[str, Any] = {"table": read.table, "key": _key(read.key)}
    if read.reads:
        told["reads"] = [_told(one) for one in read.reads]
    if read.cut:
        told["cut"] = True
    return told


def _key(key: object) -> str:
    return " ".join(_key(part) for part in key) if isinstance(key, tuple) else str(key)


def _json(value: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(value, enc_hook=hide) + b"\n", content_type="application/json")

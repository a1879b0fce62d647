"""Caddy as a provider: an example of how little a provider is. Each route group becomes one item, a server of Caddy's; the engine posts all of them
to Caddy's admin API after each change. What `Capabilities` does not name never arrives: a route that needs it comes as a refusal, its owner is told.
"""

import asyncio
import hashlib
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import aiohttp

from weirkeeper.model.features import Capabilities, UpdateStyle
from weirkeeper.model.match import ExactPath
from weirkeeper.model.observation import ItemObservation, ItemState
from weirkeeper.model.route import Forward
from weirkeeper.providers.base import EngineItem, ItemKey, Part
from weirkeeper.testing.engines import caddy_binary


def server(read: Any, composed: Any, listeners: Any, hosts: Any) -> EngineItem:
    routes = []
    for key, host in sorted(hosts, key=lambda row: (row[0].hostname[0] == "*", row[0].hostname == "*")):
        inside = [*(route(read, composed, key.load_balancer, one) for one in host.routes), {"handle": [reply(404)]}]
        match = {} if host.hostname == "*" else {"match": [{"host": [host.hostname]}]}
        routes.append({**match, "handle": [{"handler": "subroute", "routes": inside}], "terminal": True})
    listen = [f"[{address}]:{one.port}" for _, one in listeners for address in one.addresses or ("::",)]
    wished = {"listen": listen, "routes": [*routes, {"handle": [reply(404)]}], "automatic_https": {"disable": True}}
    body, origins = json.dumps(wished).encode(), tuple(dict.fromkeys(o for _, host in hosts for o in host.origins))
    return EngineItem(body=body, version=hashlib.sha256(body).hexdigest()[:16], origins=origins)


def route(read: Any, composed: Any, load_balancer: Any, one: Any) -> Any:
    exact, action, handler = isinstance(one.match.path, ExactPath), one.action, reply(503)
    literal = re.escape(unquote(one.match.path.value if exact else one.match.path.value.rstrip("/"))).replace("\\ ", " ")
    if not isinstance(action, Forward):
        handler = reply(action.status, action.body)
    elif action.backends and (backend := read.get(composed.backends, Part(load_balancer, action.backends[0].backend))):
        members = read.get(composed.endpoint_sets, Part(load_balancer, backend.source.id))
        if dials := [{"dial": f"[{e.address}]:{e.port}"} for e in (members.usable if members else ())]:
            handler = {"handler": "reverse_proxy", "upstreams": dials}
    match = {"path_regexp": {"pattern": f"^{literal}$" if exact else f"^{literal}(/|$)"}}
    return {"match": [match], "handle": [handler], "terminal": True}


def reply(status: int, body: str = "") -> Any:
    return {"handler": "static_response", "status_code": status, "body": body.replace("{", "\\{")}


def config(items: Any) -> Any:
    return {"apps": {"http": {"servers": {" ".join(key): json.loads(item.body) for key, item in items.items()}}}}


class CaddyEngine:
    def __init__(self, settings: Any) -> None:
        self.home, self.socket = settings.state_directory, str(Path(settings.state_directory, "caddy.sock"))

    async def serve(self, desired: Any, observe: Any) -> None:
        held, environment = dict[ItemKey, EngineItem](), {"HOME": self.home, "CADDY_ADMIN": f"unix/{self.socket}"}
        caddy = await asyncio.create_subprocess_exec(str(caddy_binary()), "run", stdout=-3, stderr=-3, env=environment)
        try:
            async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(self.socket)) as admin:
                changes = desired.items()
                while caddy.returncode is None:  # when Caddy ends, this does, and whoever runs it begins anew
                    wished = {key: item for key, item in {**held, **changes}.items() if item is not None}
                    try:
                        async with admin.post("http://127.0.0.1/load", json=config(wished)) as answer:
                            words = "" if answer.ok else await answer.text()
                    except aiohttp.ClientConnectionError:  # it does not listen yet
                        await asyncio.sleep(0.02)
                        continue
                    held, state = (held, ItemState.REJECTED) if words else (wished, ItemState.PROGRAMMED)
                    for key, item in ((key, item) for key, item in changes.items() if item is not None):
                        told: Any = dict(zip(("load_balancer", "kind", "name"), key, strict=True), provider="caddy")
                        observe(ItemObservation(version=item.version, state=state, message=words, **told))
                    changes = await desired.changed()
        finally:
            if caddy.returncode is None:
                caddy.terminate()
            await caddy.wait()


class CaddyProvider:
    name, engine = "caddy", CaddyEngine
    capabilities = Capabilities(engine=name, version="2", supported=frozenset(), config_updates=UpdateStyle.HITLESS_RELOAD)

    def declare(self, graph: Any, composed: Any) -> Any:
        hosts = graph.index("caddy.hosts", composed.virtual_hosts, lambda key, _: [(key.load_balancer, key.group)])
        ports = graph.index("caddy.ports", composed.listeners, lambda key, one: [(key.load_balancer, one.group)])
        made = graph.group("caddy.made", ports, lambda read, key, found: server(read, composed, found, read.lookup(hosts, key)))
        return graph.spread("caddy.items", made, lambda _, key, item: [(ItemKey(key[0], "server", key[1]), item)])

    def printed(self, items: Any) -> str:
        return json.dumps(config(items), indent=1)


PROVIDER = CaddyProvider()

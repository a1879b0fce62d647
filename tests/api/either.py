"""One client for two servers: the fake API server and a real one, so that a test is written once and run on both."""

import asyncio
import json
import secrets
import ssl
from typing import Any, NamedTuple

import aiohttp
import pytest

from weirkeeper.testing.apiserver import ApiServer, Denial
from weirkeeper.testing.eventually import eventually

INGRESSES = ("networking.k8s.io/v1", "ingresses")
LEASES = ("coordination.k8s.io/v1", "leases")
SECRETS = ("v1", "secrets")
NAMESPACES = "/api/v1/namespaces"
USERS = ("admin", "user", "other")


class Answer(NamedTuple):
    status: int
    json: Any
    headers: Any


class Fake(NamedTuple):
    """The fake server, started anew in the loop of each test."""

    name: str = "fake"


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.cluster)])
def either_server(request):
    """Where a test runs: the fake server (by its mark) or the real one of the session."""
    return Fake() if request.param == "fake" else request.getfixturevalue("real")


def run_on(server, scenario, user="admin", deadline=120):
    """Runs `scenario(wire)` on a server, as a user, in a namespace of its own."""

    async def on_fake():
        async with ApiServer() as api:
            tokens = {name: f"token-of-{name}" for name in USERS}
            for name, token in tokens.items():
                api.access.add_token(token, name, groups=("system:masters",) if name == "admin" else ())
            api.access.deny(Denial(user="user"))
            await with_wire(api.url, tokens, None)

    async def with_wire(url, tokens, trust):
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust or True)) as session:
            admin = Wire(session, url, tokens, "admin", f"t-{secrets.token_hex(4)}")
            made = await admin.post(
                NAMESPACES, {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": admin.namespace}}
            )
            assert made.status == 201, made
            await scenario(admin if user == "admin" else Wire(session, url, tokens, user, admin.namespace))

    def on_real():
        trust = ssl.create_default_context(cadata=server.authority.pem().decode())
        trust.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return with_wire(server.url, server.tokens, trust)

    async def limited():
        async with asyncio.timeout(deadline):
            await (on_fake() if isinstance(server, Fake) else on_real())

    asyncio.run(limited())


class Wire:
    """Plain requests and watches, nothing hidden."""

    def __init__(self, session, url, tokens, user, namespace):
        self.session, self.url, self.tokens, self.user, self.namespace = session, url, tokens, user, namespace

    def path(self, resource, name="", subresource=""):
        version, plural = resource
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        return "/".join(filter(None, (f"{root}/namespaces/{self.namespace}/{plural}", name, subresource)))

    def headers(self, more=None):
        return {"Authorization": f"Bearer {self.tokens[self.user]}", "Accept": "application/json"} | (more or {})

    async def ask(self, method, path, body=None, headers=None, query=None):
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        sent = self.headers(({"Content-Type": "application/json"} if body is not None else {}) | (headers or {}))
        async with self.session.request(method, self.url + path, data=body, headers=sent, params=query) as answer:
            text = await answer.text()
            plain = json.loads(text) if answer.content_type == "application/json" else text
            return Answer(answer.status, plain, answer.headers)

    async def get(self, path, **query):
        return await self.ask("GET", path, query=query)

    async def post(self, path, body):
        return await self.ask("POST", path, body)

    async def put(self, path, body):
        return await self.ask("PUT", path, body)

    async def patch(self, path, body, content_type="application/merge-patch+json"):
        return await self.ask("PATCH", path, body, {"Content-Type": content_type})

    async def delete(self, path, options=None):
        return await self.ask("DELETE", path, options)

    async def until(self, asking, holds):
        async def look():
            answer = await asking()
            return answer if holds(answer) else None

        return await eventually(look, 60)

    def watch(self, path, headers=None, **query):
        return Watching(self, path, headers, query)


class Watching:
    """A watch that is open while the block runs; `next` gives its events as they come, `rest` all until its end."""

    def __init__(self, wire, path, headers, query):
        self.wire, self.path, self.more, self.query = (
            wire,
            path,
            headers,
            {"watch": "1", "timeoutSeconds": "20"} | query,
        )

    async def __aenter__(self):
        self.answer = await self.wire.session.get(
            self.wire.url + self.path, params=self.query, headers=self.wire.headers(self.more)
        )
        assert self.answer.status == 200, await self.answer.text()
        return self

    async def __aexit__(self, *_):
        connection = self.answer.connection
        if connection is not None and connection.transport is not None:
            connection.transport.abort()  # TLS would wait for the other side's farewell
        self.answer.close()
        for _turn in range(3):
            await asyncio.sleep(0)

    async def next(self):
        line = await self.answer.content.readline()
        return json.loads(line) if line else None

    async def take(self, count):
        return [await self.next() for _ in range(count)]

    async def rest(self):
        events = []
        while event := await self.next():
            events.append(event)
        return events


def ingress(name, *, labels=None, annotations=None, service="s"):
    metadata = {"name": name}
    metadata |= {"labels": labels} if labels else {}
    metadata |= {"annotations": annotations} if annotations else {}
    spec = {"defaultBackend": {"service": {"name": service, "port": {"number": 80}}}}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec}

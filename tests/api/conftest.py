"""A real API server for the tests that carry the marker `cluster`: one for a session, a namespace of its own for each test."""

import asyncio
import secrets
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from weirkeeper.kube.access import Access, StaticToken, Trust
from weirkeeper.kube.client import Client
from weirkeeper.testing.apiserver_real import ApiServer, api_server

sys.path.insert(0, str(Path(__file__).parent))

from either import either_server as either_server


@pytest.fixture(scope="session")
def real() -> Iterator[ApiServer]:
    """A kube-apiserver with RBAC and its etcd, shared; a test that stops it starts one of its own (`api_server()`)."""
    with api_server(users={"admin": ("system:masters",), "user": (), "other": ()}) as server:
        yield server


@pytest.fixture
def namespace(real: ApiServer) -> str:
    """A new namespace."""
    name = f"test-{secrets.token_hex(4)}"
    real.kubectl("create", "namespace", name)
    return name


@pytest.fixture
def access(real: ApiServer) -> Callable[[str], Access]:
    """How a user reaches the real server."""
    return lambda user: Access(
        real.url, credentials=StaticToken(real.tokens[user]), trust=Trust(authority=real.authority.pem())
    )


@pytest.fixture
def run(access: Callable[[str], Access]) -> Callable[..., Any]:
    """Runs `scenario(client)` in a loop, as admin or another user."""

    def running(scenario: Callable[[Client], Coroutine[Any, Any, Any]], user: str = "admin") -> Any:
        async def whole() -> Any:
            async with Client(access(user)) as client:
                return await scenario(client)

        return asyncio.run(whole())

    return running

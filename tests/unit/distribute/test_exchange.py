"""A token for a certificate, over real TLS: who gets one, who does not and what he is told, and that no token is ever written down."""

import asyncio
import datetime as dt
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest
from cryptography import x509

from weirkeeper.distribute.accounts import ServiceAccount, account_of, accounts_from, reviewed_by
from weirkeeper.distribute.authority import SERVER_NAME, AuthorityKeys, new_authority, new_request
from weirkeeper.distribute.credentials import OwnTls, client_context
from weirkeeper.distribute.desk import Desk
from weirkeeper.distribute.exchange import PATH, Buckets, CertificateAnswer, Exchange
from weirkeeper.distribute.identity import subject
from weirkeeper.errors import WeirkeeperError
from weirkeeper.model.text import Id, Refused

TOKENS = {
    "good": ServiceAccount("edge", "envoy"),
    "all": ServiceAccount("edge", "operator"),
    "other": ServiceAccount("shop", "envoy"),
}
ACCOUNTS = accounts_from(["edge/envoy=ingress/public", "edge/envoy=ingress/internal", "edge/operator=*"])
COUNTED: list[str] = []


async def review(token: str) -> ServiceAccount | Refused:
    if token == "broken":
        raise WeirkeeperError("the API server is away")
    return TOKENS.get(token, Refused("the token is not valid, or not for this audience"))


@asynccontextmanager
async def desk(keys: AuthorityKeys | None = None) -> AsyncIterator[tuple[int, AuthorityKeys]]:
    assert not isinstance(ACCOUNTS, Refused)
    COUNTED.clear()
    authority = keys or new_authority(dt.datetime.now(dt.UTC))
    exchange = Exchange(lambda: authority, review, lambda: ACCOUNTS, counted=COUNTED.append)
    made = Desk("127.0.0.1:0", OwnTls(authority, ()), exchange, None)
    task = asyncio.create_task(made.run())
    await asyncio.wait_for(made.listening.wait(), 60)
    try:
        yield made.port, authority
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def ask(port: int, authority: AuthorityKeys, token: str | None, load_balancer: str, **more: Any) -> tuple[int, str]:
    body = {"load_balancer": load_balancer, "instance": "pod-1", "csr": more.pop("csr", None) or new_request()[1], **more}
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    context = client_context(None, authority.bundle.encode())
    async with aiohttp.ClientSession() as session:
        url = f"https://127.0.0.1:{port}{PATH}"
        async with session.post(url, json=body, headers=headers, ssl=context, server_hostname=SERVER_NAME) as answer:
            return answer.status, await answer.text()


def told(story: Callable[[int, AuthorityKeys], Awaitable[None]]) -> None:
    async def run() -> None:
        async with desk() as (port, authority):
            await story(port, authority)

    asyncio.run(run())


def test_a_good_token_becomes_a_certificate_of_that_load_balancer() -> None:
    async def story(port: int, authority: AuthorityKeys) -> None:
        for token, load_balancer in (("good", "ingress/internal"), ("all", "anything/at-all")):
            status, body = await ask(port, authority, token, load_balancer)
            assert status == 200
            made = msgspec.json.decode(body, type=CertificateAnswer)
            leaf = x509.load_pem_x509_certificate(made.certificate.encode())
            names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            assert [name.value for name in names] == [subject(Id(load_balancer))]
            assert made.authority == authority.bundle
            assert made.renew < made.expires
        assert COUNTED == ["issued", "issued"]

    told(story)


def test_a_newer_instance_may_say_more() -> None:
    async def story(port: int, authority: AuthorityKeys) -> None:
        assert (await ask(port, authority, "good", "ingress/public", more=1))[0] == 200

    told(story)


def test_refusals_say_why_and_nothing_about_load_balancers(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def story(port: int, authority: AuthorityKeys) -> None:
        assert await ask(port, authority, None, "ingress/public") == (403, "there is no token\n")
        assert await ask(port, authority, "x" * 8_001, "ingress/public") == (403, "there is no token\n")
        assert await ask(port, authority, "tok\u00e9n", "ingress/public") == (403, "there is no token\n")
        status, why = await ask(port, authority, "forged-token", "ingress/public")
        assert (status, why) == (403, "the token is not valid, or not for this audience\n")
        exists = await ask(port, authority, "other", "ingress/public")
        missing = await ask(port, authority, "other", "ingress/nowhere")
        assert exists == missing
        assert exists[0] == 403
        assert "shop/envoy" in exists[1]
        assert (await ask(port, authority, "good", "bad id"))[0] == 403
        assert (await ask(port, authority, "broken", "ingress/public"))[0] == 503
        assert (await ask(port, authority, "good", "ingress/public", csr="nonsense"))[0] == 400
        assert (await ask(port, authority, "good", "ingress/public", csr="x" * 100_000))[0] == 400

    told(story)
    assert "issued" not in COUNTED
    assert not [record for record in caplog.records if "forged-token" in record.getMessage()]


def test_who_asks_too_often_waits_before_anything_is_reviewed() -> None:
    async def story(port: int, authority: AuthorityKeys) -> None:
        csr = new_request()[1]
        found = [(await ask(port, authority, "forged", "ingress/public", csr=csr))[0] for _ in range(40)]
        assert set(found[:30]) == {403}
        assert 429 in found[30:]

    told(story)


def test_buckets_refill_and_forget() -> None:
    buckets = Buckets(rate=2, burst=3, most=2)
    assert [buckets.wait("a", 0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.wait("b", 0) == 0, "each has its own"
    assert buckets.wait("a", 0.5) == 0
    assert buckets.wait("a", 0.5) == 0.5
    for name in "xy":
        buckets.wait(name, 1)
    assert [buckets.wait("a", 1) for _ in range(3)] == [0, 0, 0], "the least recent are forgotten"


@pytest.mark.parametrize("rule", ["edge/envoy", "envoy=web", "edge/en voy=web", "edge/envoy=", "edge/envoy=a b", "/x=web"])
def test_a_wrong_rule_is_refused(rule: str) -> None:
    assert isinstance(accounts_from([rule]), Refused)


def test_a_review_is_asked_for_our_audience_and_its_answer_read() -> None:
    asked: list[Any] = []

    class Server:
        async def post(self, path: str, body: Any, *, timeout: float | None = None) -> Any:  # noqa: ASYNC109
            asked.append((path, body["spec"], timeout))
            user = {"username": "system:serviceaccount:edge:envoy", "groups": ["system:authenticated"], "extra": {}}
            return {"status": {"authenticated": True, "audiences": ["weirkeeper"], "user": user}}

    assert asyncio.run(reviewed_by(Server(), "weirkeeper")("t")) == ServiceAccount("edge", "envoy")
    assert asked == [("/apis/authentication.k8s.io/v1/tokenreviews", {"token": "t", "audiences": ["weirkeeper"]}, 5.0)]


@pytest.mark.parametrize(
    "status",
    [
        {},
        {"authenticated": False, "error": "expired"},
        {"authenticated": True, "user": {"username": "system:serviceaccount:a:b"}},
        {"authenticated": True, "audiences": ["api"], "user": {"username": "system:serviceaccount:a:b"}},
        {"authenticated": True, "audiences": ["weirkeeper"], "user": {"username": "admin"}},
        {"authenticated": True, "audiences": ["weirkeeper"], "user": {}},
        {"authenticated": "yes"},
    ],
)
def test_an_answer_without_a_service_account_for_us_is_a_refusal(status: dict[str, Any]) -> None:
    assert isinstance(account_of({"status": status}, "weirkeeper"), Refused)


def test_a_renewed_certificate_and_a_new_root_are_shown_at_the_next_handshake() -> None:
    async def story() -> None:
        old, new = new_authority(dt.datetime.now(dt.UTC)), new_authority(dt.datetime.now(dt.UTC))
        tls = OwnTls(old, ())
        exchange = Exchange(lambda: new, review, dict)
        made = Desk("127.0.0.1:0", tls, exchange, None)
        task = asyncio.create_task(made.run())
        await asyncio.wait_for(made.listening.wait(), 60)
        assert (await ask(made.port, old, "good", "x"))[0] == 403
        tls.trust(new)
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await ask(made.port, old, "good", "x")
        assert (await ask(made.port, new, "good", "x"))[0] == 403
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(story())

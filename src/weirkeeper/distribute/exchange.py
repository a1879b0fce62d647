"""A token for a certificate: how an instance comes to the certificate that says whose it is.

Comes in: ``POST /v1/certificate`` with a projected token and ``{load_balancer, instance, csr}``. Goes out: the certificate and the roots to trust, or
403 with the reason. Tokens are neither kept nor logged. Who asks too often waits (429), before anything is asked of the API server.
"""

import asyncio
import datetime as dt
import logging
from collections import OrderedDict
from collections.abc import Callable

import msgspec
from aiohttp import web

from weirkeeper.distribute.accounts import Accounts, Review, permitted
from weirkeeper.distribute.authority import LEAF_LIFE, AuthorityKeys, issue_instance
from weirkeeper.errors import WeirkeeperError
from weirkeeper.model.text import Id, Refused, parse, shown
from weirkeeper.model.value import Told

log = logging.getLogger(__name__)

PATH = "/v1/certificate"
LONGEST_TOKEN = 8_000
MOST_REVIEWS = 16
PATIENCE = 5.0


class CertificateRequest(Told, frozen=True, kw_only=True):
    """What an instance asks for."""

    load_balancer: str
    instance: str
    csr: str


class CertificateAnswer(Told, frozen=True, kw_only=True):
    """What it gets, in PEM. ``expires`` and ``renew`` are seconds since 1970."""

    certificate: str
    authority: str
    expires: float
    renew: float


class Buckets:
    """How often each of many may ask: ``burst`` times at once, ``rate`` times a second in the long run. The least recent are forgotten. Time is an argument."""

    def __init__(self, rate: float, burst: float, most: int = 10_000) -> None:
        self._rate, self._burst, self._most = rate, burst, most
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, who: str, now: float) -> float:
        """0.0 where it may ask now, which counts; else the seconds until it may."""
        left, then = self._left.pop(who, (self._burst, now))
        left = min(self._burst, left + (now - then) * self._rate)
        granted = left >= 1.0
        self._left[who] = (left - 1.0 if granted else left, now)
        while len(self._left) > self._most:
            self._left.popitem(last=False)
        return 0.0 if granted else (1.0 - left) / self._rate


class Exchange:
    """Answers instances that ask for certificates. ``keys`` is None where certificates come from somebody else."""

    def __init__(
        self,
        keys: Callable[[], AuthorityKeys | None],
        review: Review,
        accounts: Callable[[], Accounts],
        *,
        life: dt.timedelta = LEAF_LIFE,
        counted: Callable[[str], None] = lambda _result: None,
    ) -> None:
        self._keys, self._review, self._accounts, self._life = keys, review, accounts, life
        self._counted = counted
        self._addresses = Buckets(rate=2, burst=30)
        self._named = Buckets(rate=20, burst=500)
        self._turns = asyncio.Semaphore(MOST_REVIEWS)

    async def answer(self, request: web.Request) -> web.Response:
        """The answer to one request. Counted as issued, refused, limited, wrong or failed."""
        clock = asyncio.get_running_loop().time
        wait = self._addresses.wait(request.remote or "", clock())
        if wait:
            return self._limited(wait)
        try:
            async with asyncio.timeout(PATIENCE):
                wished = msgspec.json.decode(await request.read(), type=CertificateRequest)
        except (msgspec.DecodeError, TimeoutError, web.HTTPRequestEntityTooLarge):
            return self._said(400, "wrong", "the body must be {load_balancer, instance, csr} in JSON")
        keys = self._keys()
        if keys is None:
            return self._said(404, "wrong", "certificates of this installation do not come from here")
        return await self._answered(request.headers.get("authorization", ""), wished, keys)

    async def _answered(self, authorization: str, wished: CertificateRequest, keys: AuthorityKeys) -> web.Response:
        kind, _, token = authorization.partition(" ")
        if kind.lower() != "bearer" or not 0 < len(token) <= LONGEST_TOKEN or not token.isascii():
            return self._said(403, "refused", "there is no token")
        try:
            async with asyncio.timeout(2 * PATIENCE), self._turns:
                account = await self._review(token)
        except (WeirkeeperError, TimeoutError) as error:
            log.warning("a token could not be reviewed: %s", error)
            return self._said(503, "failed", "the token could not be reviewed; ask again")
        if isinstance(account, Refused):
            return self._refused(wished, account)
        wait = self._named.wait(str(account), asyncio.get_running_loop().time())
        if wait:
            return self._limited(wait)
        name = parse(Id, wished.load_balancer)
        if isinstance(name, Refused):
            return self._refused(wished, name)
        refused = permitted(self._accounts(), account, name)
        if refused is not None:
            return self._refused(wished, refused)
        issued = issue_instance(keys, wished.csr, name, wished.instance, dt.datetime.now(dt.UTC), life=self._life)
        if isinstance(issued, Refused):
            return self._said(400, "wrong", issued.why)
        self._counted("issued")
        log.info("a certificate for %s of %s", shown(wished.instance), shown(name))
        made = CertificateAnswer(
            certificate=issued.chain, authority=issued.authority, expires=issued.expires, renew=issued.renew
        )
        return web.Response(body=msgspec.json.encode(made), content_type="application/json")

    def _refused(self, wished: CertificateRequest, why: Refused) -> web.Response:
        log.warning("no certificate of %s: %s", shown(wished.load_balancer), why.why)
        return self._said(403, "refused", why.why)

    def _limited(self, wait: float) -> web.Response:
        self._counted("limited")
        return web.Response(status=429, text="ask less often\n", headers={"retry-after": str(int(wait) + 1)})

    def _said(self, status: int, result: str, sentence: str) -> web.Response:
        self._counted(result)
        return web.Response(status=status, text=sentence + "\n")

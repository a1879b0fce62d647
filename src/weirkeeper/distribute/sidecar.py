"""The certificate of an instance, kept in force beside its engine: asked for with the pod's token, renewed in time, written where the engine looks.

Comes in: a token file, the roots of the control plane in a file, addresses of the control plane. Goes out: files in a folder, written by ``written`` (which
knows the engine's form) and put in place by renaming. The key is made here for each certificate and leaves the pod never.

What fails is tried again with a growing pause, at another address each time; a certificate that is still good stays meanwhile. After a restart of this
program the certificate in the folder is used until it is due. It is due by the clock of whoever made it: how far ours is ahead of that one is seen when it comes.
"""

import asyncio
import datetime as dt
import logging
import os
import ssl
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import aiohttp
import msgspec

from weirkeeper.distribute import exchange
from weirkeeper.distribute.authority import expiry, made_at, new_request, renewal
from weirkeeper.distribute.credentials import client_context, spread
from weirkeeper.distribute.exchange import CertificateAnswer, CertificateRequest
from weirkeeper.model.secret import Secret
from weirkeeper.model.text import Refused
from weirkeeper.model.value import Told, Value

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
LOOK = 1.0
PATIENCE, CONNECT = 10.0, 4.0
"""Seconds for one question; and for the way to whom it is asked. Where a name server or an address keeps silent, the next try asks anew, by another way."""
KEPT = "instance.json"
NEAR, FAR = 1.5, 60.0
"""So many seconds are no difference between clocks (a certificate says whole ones); so many are said."""
NOT_YET_VALID, HAS_EXPIRED = 9, 10
"""OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED."""


class SidecarSettings(Value, frozen=True, kw_only=True):
    """Whose instance this is, and where everything lies. ``servers`` are ``host:port`` of the control plane's exchange."""

    load_balancer: str
    instance: str
    servers: tuple[str, ...]
    server_name: str
    token_file: str
    authority_file: str
    folder: str


class Held(Told, frozen=True, kw_only=True):
    """A certificate with its key, and the roots that came with it, as it is kept for the next start of this program."""

    chain: str
    key: str
    authority: str
    ahead: float = 0.0
    """Seconds by which our clock was ahead of that of the control plane when it came; negative: behind. Less than a few count as none."""


Written = Callable[[str, Secret, str], Mapping[str, bytes]]
"""The files, by name, that tell an engine its certificate chain, key and trusted roots."""


class Certificates:
    """Keeps the certificate; ``run`` is its task. ``held`` is set when there is one."""

    def __init__(self, settings: SidecarSettings, written: Written, wall: Callable[[], float] = time.time) -> None:
        """``wall``: seconds since 1970."""
        self._settings, self._written, self._wall = settings, written, wall
        self._folder = Path(settings.folder)
        self._present: Held | None = None
        self._shown: Mapping[str, bytes] = {}
        self._attempts = 0
        self.held = asyncio.Event()
        self.renewals = 0
        self.failures = 0

    @property
    def expires(self) -> float:
        """When the certificate ends, in seconds since 1970; 0 without one."""
        return 0.0 if self._present is None else renewal_and_end(self._present.chain)[1]

    @property
    def trusting(self) -> bool:
        """Whether there are roots to know the control plane by."""
        return bool(self._roots())

    async def run(self) -> None:
        """Until cancelled."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._present = self._kept()
        pause = FIRST_PAUSE
        while True:
            if self._present is not None:
                self._show(self._present)
            wait = self._due()
            if wait > 0:
                await asyncio.sleep(min(wait, LOOK))  # the roots in the file may change meanwhile, and clocks jump
                continue
            refused = await self._renew()
            if refused is None:
                pause = FIRST_PAUSE
                continue
            self.failures += 1
            log.warning("no certificate yet: %s", refused.why)
            await asyncio.sleep(spread(pause, 0.5))
            pause = min(pause * 2, LONGEST_PAUSE)

    def _due(self) -> float:
        """Seconds until the certificate is to be renewed."""
        if self._present is None or self._is_of_another_authority(self._present):
            return 0.0
        return renewal_and_end(self._present.chain)[0] + self._present.ahead - self._wall()

    def _is_of_another_authority(self, held: Held) -> bool:
        """Whether none of the roots that came with the certificate is among those given: then the authority was made anew, and nobody takes it any more."""
        given = set(_blocks(self._given()))
        return bool(given) and given.isdisjoint(_blocks(held.authority))

    async def _renew(self) -> Refused | None:
        server = self._settings.servers[self._attempts % len(self._settings.servers)]
        self._attempts += 1
        key, request = new_request()
        try:
            answer = await self._asked(server, request)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            return Refused(f"{server}: {self._of_clocks(error) or f'{type(error).__name__}: {error}'}")
        if isinstance(answer, Refused):
            return Refused(f"{server}: {answer.why}")
        ahead = self._ahead(answer.certificate)
        self._present = Held(chain=answer.certificate, key=key.open(), authority=answer.authority, ahead=ahead)
        self.renewals += 1
        put(self._folder, KEPT, msgspec.json.encode(self._present))
        return None

    def _ahead(self, chain: str) -> float:
        ahead = self._wall() - made_at(chain).timestamp()
        if abs(ahead) > FAR:
            log.warning(
                "the clock of this machine is %.0f s %s that of the control plane: set it right, or certificates will not hold here",
                abs(ahead), "ahead of" if ahead > 0 else "behind",
            )  # fmt: skip
        return ahead if abs(ahead) > NEAR else 0.0

    def _of_clocks(self, error: Exception) -> str:
        """What is wrong with the clocks, where the control plane's certificate says so."""
        why = error.certificate_error if isinstance(error, aiohttp.ClientConnectorCertificateError) else None
        code = why.verify_code if isinstance(why, ssl.SSLCertVerificationError) else None
        now = dt.datetime.fromtimestamp(self._wall(), dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        if code == NOT_YET_VALID:
            return f"its certificate is not valid yet: the clock of this machine is behind (it says {now}), or that of the control plane ahead"
        if code == HAS_EXPIRED:
            return f"its certificate has expired: the clock of this machine is ahead (it says {now}), or the control plane could not renew it"
        return ""

    async def _asked(self, server: str, request: str) -> CertificateAnswer | Refused:
        settings = self._settings
        token, roots = self._token(), self._roots()
        if not roots:
            return Refused(f"{settings.authority_file} has no roots to know it by")
        context = client_context(None, roots.encode())
        body = msgspec.json.encode(
            CertificateRequest(load_balancer=settings.load_balancer, instance=settings.instance, csr=request)
        )
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        limit = aiohttp.ClientTimeout(total=PATIENCE, connect=CONNECT)
        url = f"https://{server}{exchange.PATH}"
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.post(
                url,
                data=body,
                headers=headers,
                ssl=context,
                server_hostname=settings.server_name,
                allow_redirects=False,
            ) as answer,
        ):
            if answer.status != 200:
                return Refused(f"{answer.status}: {(await answer.text())[:200].strip()}")
            found = msgspec.json.decode(await answer.read(), type=CertificateAnswer)
            renewal(found.certificate)  # ``ValueError`` where it is none
            return found

    def _token(self) -> str:
        """The kubelet renews it in place; so it is read each time."""
        return Path(self._settings.token_file).read_text().strip()

    def _roots(self) -> str:
        """Those in the file and those that came with the last certificate: either may be the newer one while roots change."""
        blocks = [*_blocks(self._given()), *_blocks(self._present.authority if self._present is not None else "")]
        return "".join(dict.fromkeys(blocks))

    def _given(self) -> str:
        try:
            return Path(self._settings.authority_file).read_text()
        except OSError as error:
            log.warning("the control plane's roots cannot be read: %s", error)
            return ""

    def _show(self, held: Held) -> None:
        """Write what the engine reads, where it changed. All of it is there before anybody is told so."""
        wished = self._written(held.chain, Secret(held.key), self._roots())
        for name, content in wished.items():
            if self._shown.get(name) != content:
                put(self._folder, name, content)
        self._shown = wished
        self.held.set()

    def _kept(self) -> Held | None:
        """What the last run of this program left, if it is still good."""
        try:
            found = msgspec.json.decode((self._folder / KEPT).read_bytes(), type=Held)
            ends = renewal_and_end(found.chain)[1] + found.ahead
        except (OSError, ValueError):
            return None
        return found if ends > self._wall() else None


def renewal_and_end(chain: str) -> tuple[float, float]:
    """When to renew the first certificate of a chain and when it ends, in seconds since 1970."""
    return renewal(chain).timestamp(), expiry(chain).timestamp()


def put(folder: Path, name: str, content: bytes) -> None:
    """The file under that name, for our user alone; whoever reads it sees the old content or the new."""
    beside = folder / f".{name}.new"
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    beside.replace(folder / name)


def _blocks(pem: str) -> list[str]:
    """The certificates in a PEM text, one by one."""
    end = "-----END CERTIFICATE-----"
    return [part.strip() + f"\n{end}\n" for part in pem.split(end) if "-----BEGIN CERTIFICATE-----" in part]

"""What came back over the wire, or did not: network failures by their names, `Retry-After`, and lines out of chunks.

Comes in: aiohttp's exceptions, headers and chunks. Goes out: failures of `errors.py` and whole lines. No request is made here.
"""

import asyncio
import datetime
import email.utils
from collections.abc import AsyncGenerator

import aiohttp

from weirkeeper.kube.decode import status_failure
from weirkeeper.kube.errors import ApiFailure, BadAnswer, Unreachable

LONGEST_LINE = 64 << 20
"""Bytes. The API server takes objects of at most 3 MB; a line beyond this is no event."""
LONGEST_ERROR = 64 << 10
"""Bytes of an error's body that are read."""


def unreachable(error: Exception, where: str) -> ApiFailure:
    """The failure that an exception of aiohttp or the loop stands for; `where` is the server."""
    if isinstance(error, aiohttp.ClientPayloadError):
        return Unreachable(f"{where}: the answer was cut off", reason="Reset")
    if isinstance(error, aiohttp.ClientResponseError) and not isinstance(error, aiohttp.ClientHttpProxyError):
        return BadAnswer(f"{where}: no HTTP answer ({error.message})", reason="NotHttp")
    reason = _network_reason(error)
    words = "no answer in time" if reason == "Timeout" else str(error) or type(error).__name__
    return Unreachable(f"{where}: {words}", reason=reason)


def _network_reason(error: Exception) -> str:
    if isinstance(error, aiohttp.SocketTimeoutError):
        return "Stalled"
    if isinstance(error, TimeoutError):
        return "Timeout"
    if isinstance(error, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError):
        return "Proxy"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "Name"
    if isinstance(error, aiohttp.ClientSSLError | aiohttp.ServerFingerprintMismatch):
        return "Tls"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "Refused" if isinstance(error.os_error, ConnectionRefusedError) else "Network"
    return "Reset" if isinstance(error, aiohttp.ServerDisconnectedError | ConnectionError) else "Network"


async def failure_of(answer: aiohttp.ClientResponse) -> ApiFailure:
    """The failure that an answer of 300 and above tells."""
    body = await _beginning(answer.content)
    wait = retry_after(answer.headers.get("Retry-After", ""), datetime.datetime.now(datetime.UTC))
    if answer.status < 400:
        return BadAnswer("a redirect, which is not followed", status=answer.status, reason="Redirect", retry_after=wait)
    return status_failure(body, answer.status, wait)


async def _beginning(content: aiohttp.StreamReader) -> bytes:
    """The first `LONGEST_ERROR` bytes of a body (one `read` gives no more than what has come by then)."""
    parts: list[bytes] = []
    size = 0
    while size < LONGEST_ERROR and (part := await content.read(LONGEST_ERROR - size)):
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def retry_after(value: str, now: datetime.datetime) -> float | None:
    """The seconds that a `Retry-After` header asks for (RFC 9110, 10.2.3: seconds or a date), or None."""
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        date = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    aware = date if date.tzinfo is not None else date.replace(tzinfo=datetime.UTC)
    return max((aware - now).total_seconds(), 0.0)


async def lines_of(content: aiohttp.StreamReader) -> AsyncGenerator[bytes, None]:
    """The lines of a body as they become whole, without their ends; chunks may split them anywhere. What stands behind the last end comes too."""
    parts: list[bytes] = []
    size = 0
    async for chunk in content.iter_any():
        first, *others = chunk.split(b"\n")
        parts.append(first)
        size += len(first)
        if size > LONGEST_LINE:
            raise BadAnswer(f"a line of more than {LONGEST_LINE} bytes", status=200, reason="NotAnEvent")
        for other in others:
            if line := b"".join(parts).strip():
                yield line
            parts, size = [other], len(other)
    if line := b"".join(parts).strip():
        yield line


NETWORK_FAILURES = (aiohttp.ClientError, asyncio.TimeoutError, OSError)
"""What a request may raise when no proper answer comes."""

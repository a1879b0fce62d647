"""What a HAProxy holds that somebody else started, or an earlier life of ours: asked of itself. Pure.

Comes in: its answers on the runtime socket. Goes out: ``Held``, to plan against as if we had started it. What it says of itself (``files.mark``) tells its frame; sections, servers, maps and
names are listed; of certificates it tells a fingerprint. Whoever says nothing of the kind is not one of ours, or waits at its gate.
"""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from weirkeeper.providers.haproxy.assembly import Assembly
from weirkeeper.providers.haproxy.held import CERTIFICATES, MAPS, Held
from weirkeeper.providers.haproxy.plan import Step
from weirkeeper.providers.haproxy.translate.items import certificate_file, digest
from weirkeeper.providers.haproxy.translate.names import POOL
from weirkeeper.providers.haproxy.translate.quoting import spoken

SLOT = "pool-"
UNLIKE = ""
"""Stands for a content that is not the wished one."""


class Mark(NamedTuple):
    """What a HAProxy of ours says of itself."""

    frame: str
    binds: tuple[str, ...]


def said(info: str) -> Mapping[str, str]:
    """The answer to ``show info`` as names and values."""
    pairs = (line.partition(": ") for line in info.splitlines())
    return {name: value for name, colon, value in pairs if colon}


def mark_of(info: str) -> Mark | None:
    """The mark of a HAProxy that serves what one of us wrote; None of any other."""
    words = said(info).get("description", "").split()
    return Mark(words[1], tuple(words[2:])) if len(words) > 1 and words[0] == "weirkeeper" else None


SECTIONS = Step(command="show backend")
SERVERS = Step(command="show servers state")
FILES = Step(command="show ssl cert")


def rows_asked() -> dict[str, Step]:
    """What to ask for the rows of each map."""
    return {name: Step(command=f"show map {name}") for name in (*MAPS, POOL)}


def names_asked(wished: Assembly) -> dict[str, Step]:
    """What to ask for the names of each port with TLS."""
    return {
        name: Step(command=f"show ssl crt-list port-{name}.list") for name, port in wished.ports.items() if port.tls
    }


def content_asked(file: str) -> Step:
    """What to ask for the content of a certificate."""
    return Step(command=f"show ssl cert {spoken(file)}")


def taken_over(mark: Mark, sections: str, servers: str, maps: Mapping[str, str]) -> Held:
    """Everything but certificates and their names."""
    named = [line.strip() for line in sections.splitlines() if line.strip() and not line.startswith("#")]
    found = Held(mark.frame, ())
    found.named |= {name for name in named if not name.startswith(SLOT)}
    for name, text in maps.items():
        found.tables[name] = dict(_rows(text))
    for section, server, text, leaving in _servers(servers):
        if leaving:
            found.leaving.add((section, server))
        else:
            found.table(f"servers/{section}")[server] = text
    used = {*found.tables[POOL].values(), *(place for place, _ in found.leaving)}
    used |= {name.partition("/")[2] for name, rows in found.tables.items() if name.startswith("servers/") and rows}
    found.free = [name for name in named if name.startswith(SLOT) and name not in used]
    return found


def files_told(listed: str) -> list[str]:
    """The files of certificates that it holds."""
    return [line.strip() for line in listed.splitlines() if line.strip() and not line.startswith(("#", "*"))]


def names_told(listed: str) -> dict[str, str]:
    """Names with the file of the certificate that is shown for each, as a list of certificates has them; policies and the default are of the frame."""
    lines = (line.split() for line in listed.splitlines() if not line.startswith("#"))
    return {words[1]: words[0] for words in lines if len(words) == 2 and not words[1].startswith(("!", "["))}


def settle_certificate(held: Held, file: str, told: str, wished: Mapping[str, str]) -> None:
    """Write down which content a certificate has: the wished one, or another."""
    pem = wished.get(file)
    same = pem is not None and said(told).get("SHA1 FingerPrint", "").lower() == fingerprint(pem)
    held.tables[CERTIFICATES][file] = digest(pem) if pem is not None and same else UNLIKE


def wished_files(wished: Assembly) -> dict[str, str]:
    """The content of each certificate that is wished, by its file."""
    return {certificate_file(name): chain.pem for name, chain in wished.chains.items()}


def fingerprint(pem: str) -> str:
    """The SHA-1 of the first certificate, as OpenSSL prints it in small letters without colons."""
    body = pem.partition("-----BEGIN CERTIFICATE-----")[2].partition("-----END CERTIFICATE-----")[0]
    return hashlib.sha1(base64.b64decode("".join(body.split())), usedforsecurity=False).hexdigest()


def surplus(wished: Assembly, held: Held) -> tuple[Step, ...]:
    """Steps that remove certificates that nothing names any more; HAProxy refuses to remove one that is shown."""
    gone = sorted(held.tables[CERTIFICATES].keys() - wished_files(wished).keys())
    return tuple(
        Step(command=f"del ssl cert {spoken(file)}", table=CERTIFICATES, key=file, says="deleted", refusable="may")
        for file in gone
    )


def touch(wished: Assembly, held: Held) -> None:
    """Everything may differ: what is wished, and what is held."""
    for name, rows in zip(MAPS, (wished.routes, wished.shares, wished.users, wished.streams), strict=True):
        rows.touched |= {*rows.rows, *held.tables[name]}
    served = {name for name in held.named if held.tables.get(f"servers/{name}")}
    wished.sections.touched |= {*wished.sections.rows, *held.tables[POOL], *served}
    wished.touched_sources |= set(wished.by_source)
    wished.touched_chains |= set(wished.chains)
    wished.touched_names |= wished.names()
    for name, rows_held in held.tables.items():
        if name.startswith("list/"):
            wished.touched_names |= set(rows_held)
    wished.touched_frame = True


def _rows(listed: str) -> Iterator[tuple[str, str]]:
    for line in listed.splitlines():
        words = line.split(" ", 2)
        if len(words) == 3 and words[0].startswith("0x"):  # a map that nothing names is unknown, and says so
            yield words[1], words[2]


def _servers(listed: str) -> Iterator[tuple[str, str, str, bool]]:
    """Section, server, address with weight, and whether it is leaving. Those that DNS leads to are their section's own."""
    columns: dict[str, int] = {}
    for line in listed.splitlines():
        words = line.removeprefix("# ").split()
        if line.startswith("# "):
            columns = {name: place for place, name in enumerate(words)}
        elif columns and len(words) == len(columns):
            one = {name: words[place] for name, place in columns.items()}
            if one["srv_fqdn"] == "-":
                address = f"[{one['srv_addr']}]" if ":" in one["srv_addr"] else one["srv_addr"]
                text = f"{address}:{one['srv_port']} {one['srv_uweight']}"
                yield one["be_name"], one["srv_name"], text, bool(int(one["srv_admin_state"]) & 1)

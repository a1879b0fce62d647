"""The files that a HAProxy is started from: configuration, maps, lists of certificates, certificates. Pure: names and texts; the engine writes them.

Comes in: an assembly and the frame. Goes out: texts by path from the engine's folder, and for each line of the configuration the section that it stands in.
"""

from collections.abc import Iterator, Mapping

from weirkeeper.providers.haproxy.assembly import Assembly
from weirkeeper.providers.haproxy.held import (
    MAPS,
    certificate_files,
    default_file,
    frame_digest,
    on_demand,
    policy_lines,
)
from weirkeeper.providers.haproxy.translate.asking_script import LUA, SCRIPT
from weirkeeper.providers.haproxy.translate.items import Port, bundle_file, certificate_file
from weirkeeper.providers.haproxy.translate.names import CONFIGURATION, POOL, STREAMS, list_file, names_file
from weirkeeper.providers.haproxy.translate.quoting import key, word
from weirkeeper.providers.haproxy.translate.skeleton import SCRIPTED, Frame, Line, asking, frame, kept, sections


def mark(wished: Assembly, chosen: Frame) -> str:
    """What a HAProxy says of itself (``description``), so that it can be taken over as it is: the digest of its frame, and where it listens."""
    return " ".join(("weirkeeper", frame_digest(wished, chosen), *binds(wished)))


def binds(wished: Assembly) -> tuple[str, ...]:
    """The addresses and ports at which the frontends listen."""
    return tuple(place.partition(" ")[0] for _, port in sorted(wished.ports.items()) for place in port.binds)


def lines(wished: Assembly, chosen: Frame, said: str = "") -> list[Line]:
    """The configuration file; ``said`` is its mark."""
    servers = {name: wished.servers(section) for name, section in wished.sections.rows.items()}
    found = [Line(text) for text in frame(wished.ports, wished.forks.rows, chosen)]
    found += [Line(text) for text in kept(map(bundle_file, sorted(wished.bundles)), nameless(wished))]
    found[1:1] = [Line(f"  description {word(said)}")] if said else []
    if any(section.scripted for section in wished.sections.rows.values()):
        found[1:1] = [SCRIPTED]
        found += [Line(text) for text in asking()]
    return found + list(sections((one for _, one in sorted(wished.sections.rows.items())), servers))


def files(wished: Assembly, chosen: Frame, said: str = "") -> dict[str, str]:
    """Every file by its path."""
    found = {CONFIGURATION: "".join(line.text + "\n" for line in lines(wished, chosen, said)), **maps(wished)}
    for port in wished.ports.values():
        if port.tls:
            found[list_file(port)] = "".join(line + "\n" for line in listed(wished, port))
            found[names_file(port)] = "".join(f"{key(one.hostname)} {one.group}\n" for one in port.policies)
    found[SCRIPT] = LUA
    found |= dict(certificate_files(wished))
    for name, bundle in wished.bundles.items():
        found[bundle_file(name)] = bundle.certificates + (f"\n{bundle.revocations}" if bundle.revocations else "")
    return found


def nameless(wished: Assembly) -> list[str]:
    """The certificates that no client asks for by name: backends are shown them."""
    asked = {*wished.named.values()}
    found = (name for name, chain in sorted(wished.chains.items()) if not chain.names and name not in asked)
    return [certificate_file(name) for name in found]


def maps(wished: Assembly) -> dict[str, str]:
    """The maps; the pool is empty at a start, every section is there itself."""
    rows = (wished.routes.rows, wished.shares.rows, wished.users.rows, wished.streams.rows)
    tables: Mapping[str, Mapping[str, str]] = {
        name: found for name, found in zip(MAPS, rows, strict=True) if name != STREAMS or wished.leads
    }
    return {POOL: ""} | {name: "".join(f"{k} {v}\n" for k, v in sorted(rows.items())) for name, rows in tables.items()}


def listed(wished: Assembly, port: Port) -> Iterator[str]:
    """The list of certificates of a port; the first is shown to whoever asks for no name that is known, where that is wished."""
    default = default_file(wished, port)
    if default is not None:
        yield f"{default} !*"
    yield from policy_lines(wished, port)
    for name, file in on_demand(wished, port):
        yield f"{file} {key(name)}"

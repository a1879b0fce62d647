"""The files that a HAProxy is started from: configuration, maps, lists of certificates, certificates. Pure: names and texts; the engine writes them.

Comes in: an assembly and the frame. Goes out: texts by path from the engine's folder, and for each line of the configuration the section that it stands in.
"""

from collections.abc import Iterator, Mapping

from weirkeeper.providers.haproxy.assembly import Assembly
from weirkeeper.providers.haproxy.held import MAPS, certificate_files, default_file, on_demand, policy_lines
from weirkeeper.providers.haproxy.translate.items import Port, bundle_file
from weirkeeper.providers.haproxy.translate.quoting import key
from weirkeeper.providers.haproxy.translate.skeleton import (
    CONFIGURATION,
    POOL,
    Frame,
    Line,
    frame,
    list_file,
    names_file,
    sections,
)


def lines(wished: Assembly, chosen: Frame) -> list[Line]:
    """The configuration file."""
    servers = {name: wished.servers(section) for name, section in wished.sections.rows.items()}
    found = [Line(text) for text in frame(wished.ports, wished.forks.rows, chosen)]
    return found + list(sections((one for _, one in sorted(wished.sections.rows.items())), servers))


def files(wished: Assembly, chosen: Frame) -> dict[str, str]:
    """Every file by its path."""
    found = {CONFIGURATION: "".join(line.text + "\n" for line in lines(wished, chosen)), **maps(wished)}
    for port in wished.ports.values():
        if port.tls:
            found[list_file(port)] = "".join(line + "\n" for line in listed(wished, port))
            found[names_file(port)] = "".join(f"{key(one.hostname)} {one.group}\n" for one in port.policies)
    found |= dict(certificate_files(wished))
    for name, bundle in wished.bundles.items():
        found[bundle_file(name)] = bundle.certificates
    return found


def maps(wished: Assembly) -> dict[str, str]:
    """The maps; the pool is empty at a start, every section is there itself."""
    tables: Mapping[str, Mapping[str, str]] = dict(
        zip(MAPS, (wished.routes.rows, wished.shares.rows, wished.users.rows), strict=True)
    )
    return {POOL: ""} | {name: "".join(f"{k} {v}\n" for k, v in sorted(rows.items())) for name, rows in tables.items()}


def listed(wished: Assembly, port: Port) -> Iterator[str]:
    """The list of certificates of a port; the first is shown to whoever asks for no name that is known, where that is wished."""
    default = default_file(wished, port)
    if default is not None:
        yield f"{default} !*"
    yield from policy_lines(wished, port)
    for name, file in on_demand(wished, port):
        yield f"{file} {name}"

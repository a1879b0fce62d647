"""What one running HAProxy holds, as far as it can change while it runs: tables of texts. Pure.

Comes in: an assembly, at the moment that files are written from it; then each step that HAProxy took. Goes out: tables to compare with. Every table is ``name → key → value``:
maps by file, ``servers/<section>``, ``list/<port>`` (names to files of certificates) and ``certificates`` (files to digests of their content).
"""

from collections.abc import Iterable, Iterator

from weirkeeper.providers.haproxy.assembly import Assembly
from weirkeeper.providers.haproxy.translate.items import Policy, Port, Section, certificate_file, digest
from weirkeeper.providers.haproxy.translate.names import POOL, ROUTES, SHARES, STREAMS, USERS
from weirkeeper.providers.haproxy.translate.quoting import key
from weirkeeper.providers.haproxy.translate.sections import STANDING
from weirkeeper.providers.haproxy.translate.skeleton import Frame, address, frame, server_name, slots, weight

CERTIFICATES = "certificates"
EVERY = "*"
"""No name that a client can ask for."""
MAPS = (ROUTES, SHARES, USERS, STREAMS)


class Held:
    """The state of one HAProxy. ``leaving`` are servers that take no new request and go when their last one has ended."""

    def __init__(self, frame_digest: str, free: Iterable[str]) -> None:
        self.frame = frame_digest
        self.tables: dict[str, dict[str, str]] = {name: {} for name in (*MAPS, POOL, CERTIFICATES)}
        self.named = {section.name for section in STANDING}
        self.free = list(free)
        self.leaving: set[tuple[str, str]] = set()

    def table(self, name: str) -> dict[str, str]:
        """A table, which may be empty."""
        return self.tables.setdefault(name, {})

    def place(self, section: str) -> str | None:
        """The section of the running configuration that stands for this one."""
        return section if section in self.named else self.tables[POOL].get(section)


def held_of(wished: Assembly, chosen: Frame) -> Held:
    """What a HAProxy holds that was started from files written now."""
    found = Held(frame_digest(wished, chosen), slots(chosen, leads=wished.leads))
    found.tables[ROUTES] = dict(wished.routes.rows)
    found.tables[SHARES] = dict(wished.shares.rows)
    found.tables[USERS] = dict(wished.users.rows)
    found.tables[STREAMS] = dict(wished.streams.rows)
    found.named |= set(wished.sections.rows)
    for name, section in wished.sections.rows.items():
        found.tables[f"servers/{name}"] = servers_of(wished, section)
    for file, text in certificate_files(wished):
        found.tables[CERTIFICATES][file] = digest(text)
    for name, port in wished.ports.items():
        if port.tls:
            found.tables[f"list/{name}"] = dict(on_demand(wished, port))
    return found


def frame_digest(wished: Assembly, chosen: Frame) -> str:
    """A digest of everything that only a reload can change, save sections."""
    bundles = (
        f"{name} {digest(one.certificates, one.revocations or '')}" for name, one in sorted(wished.bundles.items())
    )
    policies = (line for _, port in sorted(wished.ports.items()) for line in policy_lines(wished, port))
    defaults = (default_file(wished, port) or "" for _, port in sorted(wished.ports.items()))
    return digest(*frame(wished.ports, wished.forks.rows, chosen), *bundles, *policies, *defaults)


def servers_of(wished: Assembly, section: Section) -> dict[str, str]:
    """Each server of a section with its address and weight."""
    return {server_name(one): f"{address(one)} {weight(one)}" for one in wished.servers(section)}


def certificate_files(wished: Assembly) -> Iterator[tuple[str, str]]:
    """Every certificate as a file."""
    return ((certificate_file(name), chain.pem) for name, chain in sorted(wished.chains.items()))


def on_demand(wished: Assembly, port: Port) -> Iterator[tuple[str, str]]:
    """The names of a port that no policy has, each with the file of its certificate."""
    policies = {policy.hostname for policy in port.policies}
    for name in sorted(wished.names() - policies - {EVERY}):
        certificate = wished.certificate_of(name)
        if certificate is not None:
            yield name, certificate_file(certificate)


def policy_lines(wished: Assembly, port: Port) -> Iterator[str]:
    """The lines of TLS policies in a port's list of certificates. One without its certificate is not there: nobody comes in by its name."""
    for policy in port.policies:
        for certificate in _of_policy(wished, policy):
            yield f"{certificate} [{policy.options}] {key(policy.hostname)}"


def default_file(wished: Assembly, port: Port) -> str | None:
    """The certificate for all names that none answers for."""
    name = port.default_certificate
    return certificate_file(name) if name is not None and name in wished.chains else None


def _of_policy(wished: Assembly, policy: Policy) -> list[str]:
    found = [name for name in policy.certificates if name in wished.chains]
    if not found and (served := wished.certificate_of(policy.hostname)) is not None:
        found = [served]
    return [certificate_file(name) for name in found]

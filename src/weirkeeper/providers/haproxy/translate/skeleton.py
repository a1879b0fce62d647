"""The configuration file, as text: a skeleton that seldom changes, an empty pool, and a section for each wish.

Comes in: an ``Assembly``'s tables, as arguments. Goes out: lines, each with the section that it belongs to, so that HAProxy's complaint about a line finds its owner. Maps, lists and
certificates lie beside the file; HAProxy is started in their folder, so every path is relative and no text depends on the machine.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from weirkeeper.model.value import Value
from weirkeeper.providers.haproxy.translate.asking_script import METHOD, SCRIPT, TO
from weirkeeper.providers.haproxy.translate.asking_script import SOCKET as ASKING
from weirkeeper.providers.haproxy.translate.items import BYTES, Fork, Port, Section, Server
from weirkeeper.providers.haproxy.translate.names import METRICS, POOL, ROUTES, SHARES, SOCKET, list_file, names_file
from weirkeeper.providers.haproxy.translate.quoting import word
from weirkeeper.providers.haproxy.translate.sections import STANDING
from weirkeeper.providers.haproxy.translate.spelling import host_rules
from weirkeeper.providers.haproxy.translate.stream_frontends import CLOSED, HTTPS, inner_place, stream_frontends

MISDIRECTED = 421


class Frame(Value, frozen=True, kw_only=True):
    """What an installation chooses of the skeleton. ``alive`` is an address with a port at which HAProxy answers probes of its own life; empty: nowhere."""

    threads: int | None = None
    connections: int = 20_000
    pool: int = 64
    stop_seconds: int = 60
    alive: str = ""


class Line(NamedTuple):
    """One line, and the section that it stands in."""

    text: str
    section: str = ""


def alive(place: str) -> Iterator[str]:
    """The frontend that answers probes."""
    if place:
        yield from ("", "frontend alive", f"  bind {place}", "  http-request return status 200")


def slot(number: int, *, of_bytes: bool = False) -> str:
    """The name of an empty section of the pool; no other section's name is like it."""
    return f"pool-bytes-{number}" if of_bytes else f"pool-{number}"


def is_slot_of_bytes(name: str) -> bool:
    """Whether a section of the pool is one for bytes."""
    return name.startswith("pool-bytes-")


def slots(wished: Frame, *, leads: bool) -> list[str]:
    """All of the pool, the last one first; those for bytes where there are ports for them."""
    for_bytes = [slot(number, of_bytes=True) for number in reversed(range(wished.pool if leads else 0))]
    return [*(slot(number) for number in reversed(range(wished.pool))), *for_bytes]


def frame(ports: Mapping[str, Port], forks: Mapping[str, Fork], wished: Frame) -> Iterator[str]:
    """Everything before the sections."""
    yield from _general(wished, validates=any(port.validates for port in ports.values()))
    yield from alive(wished.alive)
    for _, port in sorted(ports.items()):
        yield from stream_frontends(port) if port.stream is not None else ()
        yield from _frontend(port, forks) if port.http else ()
    yield from CLOSED if any(port.stream is not None for port in ports.values()) else ()
    for section in STANDING:
        yield from ("", f"backend {section.name}", *(f"  {line}" for line in section.lines))
    for name in reversed(slots(wished, leads=any(port.stream is not None for port in ports.values()))):
        yield from ("", f"backend {name}", *(f"  {line}" for line in BYTES if is_slot_of_bytes(name)))


SCRIPTED = Line(f"  lua-load-per-thread {SCRIPT}")
"""Goes into the first section, where a rule calls the script."""


def asking() -> Iterator[str]:
    """The frontend by which the script asks: only HAProxy's own user can open its socket."""
    yield from ("", "frontend asking", f"  bind unix@{ASKING} mode 600")
    yield f"  http-request set-var(txn.to) req.hdr({TO})"
    yield f"  http-request set-method %[req.hdr({METHOD})]"
    yield "  http-request del-header x-weirkeeper- -m beg"
    yield from (f"  {line}" for line in _LED)


def kept(authorities: Iterable[str], certificates: Iterable[str]) -> Iterator[str]:
    """A section that nobody asks: its servers make HAProxy read these files, so that servers which come later can name them."""
    yield from ("", "backend kept")
    for number, file in enumerate(authorities):
        yield f"  server a{number} 127.0.0.1:1 disabled ssl verify required ca-file {word(file)}"
    for number, file in enumerate(certificates):
        yield f"  server c{number} 127.0.0.1:1 disabled ssl verify none crt {word(file)}"


def sections(found: Iterable[Section], servers: Mapping[str, tuple[Server, ...]]) -> Iterator[Line]:
    """The sections with their servers, by name."""
    for section in found:
        if section in STANDING:
            continue
        yield Line("")
        yield Line(f"backend {section.name}", section.name)
        for text in section.lines:
            yield Line(f"  {text}", section.name)
        keywords = "".join(" " + word(text) for text in section.keywords)
        if section.named is not None:
            name, port = section.named
            yield Line(
                f"  server dns {word(f'{name}:{port}')} init-addr last,libc,none resolvers system{keywords}",
                section.name,
            )
        for server in servers.get(section.name, ()):
            text = f"  server {server_name(server)} {address(server)}{keywords} weight {weight(server)}"
            yield Line(text, section.name)


def server_name(server: Server) -> str:
    """The name of a server within its section: where it is."""
    return f"{server.address}_{server.port}"


def address(server: Server) -> str:
    """Where a server listens."""
    return f"[{server.address}]:{server.port}" if ":" in server.address else f"{server.address}:{server.port}"


def weight(server: Server) -> int:
    """HAProxy counts up to 256."""
    return max(0, min(server.weight, 256))


def _general(wished: Frame, *, validates: bool) -> Iterator[str]:
    yield "global"
    if validates:  # a session that is resumed would not be verified
        yield "  tune.ssl.cachesize 0"
    if wished.threads is not None:
        yield f"  nbthread {wished.threads}"
    yield from (
        f"  maxconn {wished.connections}",
        "  no strict-limits",
        f"  hard-stop-after {wished.stop_seconds}s",
        f"  stats socket unix@{SOCKET} mode 600 level admin expose-fd listeners",
        "  stats timeout 1h",
        "  expose-experimental-directives",
        "  tune.h2.max-concurrent-streams 100",
        "",
        "resolvers system",
        "  parse-resolv-conf",
        "",
        "defaults",
        "  mode http",
        "  timeout connect 5s",
        "  timeout client 60s",
        "  timeout server 60s",
        "  timeout tunnel 1h",
        "  timeout queue 5s",
        "  balance roundrobin",
        "  retries 2",
        "  retry-on conn-failure",
        "  option redispatch 1",
        "  option idle-close-on-response",
        "",
        "frontend metrics",
        f"  bind unix@{METRICS} mode 600",
        "  http-request use-service prometheus-exporter if { path /metrics }",
    )


def _frontend(port: Port, forks: Mapping[str, Fork]) -> Iterator[str]:
    inside = port.stream is not None
    yield from ("", f"frontend port-{port.port}" + "-https" * inside)
    tls = f" ssl crt-list {list_file(port)}" if port.tls else ""
    for place in (inner_place(port, HTTPS),) if inside else port.binds:
        yield f"  bind {place}{tls} {port.options}".rstrip()
    yield f"  http-request set-var(txn.scheme) str({'https' if port.tls else 'http'})"
    yield from (f"  {line}" for line in port.lines)
    yield from (f"  {line}" for line in _lookup(port))
    yield from (f"  {line}" for line in _forks(forks))
    yield from (f"  {line}" for line in _DEALT)


def _lookup(port: Port) -> Iterator[str]:
    """The row of the request: its host's, else that of a wildcard for one label, else that of the narrowest for more, else that of all hosts."""
    yield from host_rules()
    group = port.group
    if port.policies:
        group = "%[var(txn.group)]"
        yield f"http-request set-var(txn.group) str({port.group})"
        unnamed, names = " unless { var(txn.policy) -m found }", names_file(port)
        yield f"http-request set-var(txn.policy) ssl_fc_sni,lower,map_str({names})"
        yield f"http-request set-var-fmt(txn.key) '*.%[ssl_fc_sni,lower,field(2,.,0)]'{unnamed}"
        yield f"http-request set-var(txn.policy) var(txn.key),map_str({names}){unnamed}"
        yield "http-request set-var(txn.group) var(txn.policy) if { var(txn.policy) -m found }"
    column = f"map_beg({ROUTES})" + ("" if port.believes else f",field({2 if port.tls else 1},;)")
    absent = " unless { var(txn.to) -m found }"
    hosts = [("%[var(txn.host)]", ""), ("*.%[var(txn.host),field(2,.,0)]", absent)]
    for level in port.levels:
        more = f" if !{{ var(txn.to) -m found }} {{ var(txn.host),field({level + 1},.) -m found }}"
        hosts.append((f"**.%[var(txn.host),field(-1,.,{level})]", more))
    for host, condition in [*hosts, ("*", absent)]:
        yield f"http-request set-var-fmt(txn.key) '{group}/{host}%[path]/?'{condition}"
        yield f"http-request set-var(txn.to) 'var(txn.key),{column}'{condition}"
    if port.believes:  # who is believed may have come by another scheme than the port's
        for field, scheme in ((1, "http"), (2, "https")):
            yield f"http-request set-var(txn.to) 'var(txn.to),field({field},;)' if {{ var(txn.to) -m found }} {{ var(txn.scheme) -m str {scheme} }}"
    if port.policies:
        yield f"http-request return status {MISDIRECTED} if {{ var(txn.policy) -m found }} !{{ var(txn.to) -m found }}"


def _forks(forks: Mapping[str, Fork]) -> Iterator[str]:
    """Routes that differ by conditions. A rule that took the request names another target, so no later rule of its fork holds."""
    yield from dict.fromkeys(line for _, fork in sorted(forks.items()) for line in fork.acls)
    for name, fork in sorted(forks.items()):
        here = f"{{ var(txn.to) -m str {name} }}"
        for terms, target in fork.rules:
            yield f"http-request set-var(txn.to) str({target}) if {here} {terms}".rstrip()
        yield f"http-request set-var(txn.to) str({fork.otherwise}) if {here}"


_LED = (
    f"http-request set-var(txn.slot) var(txn.to),map_str({POOL})",
    "use_backend %[var(txn.slot)] if { var(txn.slot) -m found }",
    "use_backend %[var(txn.to)] if { var(txn.to) -m found }",
    f"default_backend {STANDING[0].name}",
)

_DEALT = (
    "http-request set-var(txn.of) var(txn.to),field(2,.),add(0) if { var(txn.to) -m beg w. }",
    "http-request set-var(txn.share) rand,mod(txn.of) if { var(txn.to) -m beg w. }",
    "http-request set-var-fmt(txn.key) '%[var(txn.to)].%[var(txn.share)]' if { var(txn.to) -m beg w. }",
    f"http-request set-var(txn.to) var(txn.key),map_str({SHARES}) if {{ var(txn.to) -m beg w. }}",
    *_LED,
)

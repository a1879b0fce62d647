"""What leads from what a HAProxy holds to what is wished: steps on the runtime socket, or a reload with its causes. Pure.

Comes in: ``Held``, an ``Assembly`` with the rows that were touched. Goes out: a ``Plan``. Steps come in an order in which no request finds half a change: what is named first,
what names it then, what nothing names any more last. ``at_once`` are the steps that need not wait for a reload: endpoints and certificates.
"""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Literal

from weirkeeper.model.value import Value
from weirkeeper.providers.haproxy.assembly import Assembly
from weirkeeper.providers.haproxy.held import CERTIFICATES, EVERY, Held, frame_digest, servers_of
from weirkeeper.providers.haproxy.translate.items import Port, Section, certificate_file, digest
from weirkeeper.providers.haproxy.translate.names import POOL, ROUTES, SHARES, STREAMS, USERS, list_file
from weirkeeper.providers.haproxy.translate.quoting import key, spoken
from weirkeeper.providers.haproxy.translate.skeleton import Frame, is_slot_of_bytes


class Cause(StrEnum):
    """Everything that HAProxy cannot be told while it runs."""

    START = "start"
    FRAME = "frame"
    SECTION = "section"
    POOL = "pool"
    REFUSED = "refused"


CAUSES: dict[Cause, str] = {
    Cause.START: "HAProxy is started",
    Cause.FRAME: "a listener, a TLS policy, authorities, how many labels stand behind stars of Gateway API's wildcards, or a condition of a route other than its host "
    "and a plain path changed",
    Cause.SECTION: "a route asks for something that is written in a section: a header edit, a guard, a copy, a page, an affinity, a limit of time, another balancing, a verified backend",
    Cause.POOL: "a new backend found no empty section in the pool",
    Cause.REFUSED: "HAProxy refused a step on the runtime socket",
}
"""The causes of a reload, with what each means: code, documentation and log take them from here."""

Refusable = Literal["must", "may"]


class Step(Value, frozen=True, kw_only=True):
    """One command, with what it changes in the tables of what is held. A step that ``may`` be refused changes nothing then.

    ``says`` is what HAProxy answers where it takes the step. ``line_of`` is a name whose line in a list of certificates must be found first: HAProxy removes lines by number.
    """

    command: str
    payload: str | None = None
    table: str = ""
    key: str = ""
    value: str | None = None
    says: str = ""
    line_of: str = ""
    refusable: Refusable = "must"
    private: bool = False


class Plan(Value, frozen=True, kw_only=True):
    """Steps, or why there must be a reload."""

    steps: tuple[Step, ...] = ()
    causes: tuple[Cause, ...] = ()
    at_once: tuple[Step, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.steps or self.causes)

    def text(self) -> str:
        """The plan for people: nothing private is in it."""
        rows = [f"reload: {CAUSES[cause]}" for cause in self.causes] or [step.command for step in self.steps]
        return "\n".join(rows) or "Nothing changes."


def plan(held: Held, wished: Assembly, chosen: Frame) -> Plan:
    """The plan for everything that was touched."""
    builder = _Builder(held, wished)
    causes = {Cause.FRAME} if _frame_differs(held, wished, chosen) else set()
    causes |= builder.sections()
    builder.endpoints()
    builder.maps()
    builder.certificates()
    steps = () if causes else tuple(step for part in builder.parts() for step in part)
    at_once = tuple(step for part in builder.parts_at_once() for step in part) if causes else ()
    return Plan(steps=steps, causes=tuple(sorted(causes)), at_once=at_once)


def settled(held: Held, step: Step) -> None:
    """Write down that HAProxy took a step."""
    if not step.table:
        return
    table = held.table(step.table)
    before = table.pop(step.key, None)
    if step.value is not None:
        table[step.key] = step.value
    if step.table == POOL and step.value is not None:
        held.free.remove(step.value)
    if step.table.startswith("servers/"):
        _server_settled(held, step, before)


def farewells(held: Held) -> tuple[Step, ...]:
    """Steps that remove servers without requests; HAProxy refuses to remove one that has some."""
    return tuple(
        Step(
            command=f"del server {place}/{server}",
            table=f"gone/{place}",
            key=server,
            says="Server deleted",
            refusable="may",
        )
        for place, server in sorted(held.leaving)
    )


def left(held: Held, step: Step) -> None:
    """Write down that a server is gone; an emptied section of the pool is free again."""
    place = step.table.partition("/")[2]
    held.leaving.discard((place, step.key))
    held.tables.pop(step.table, None)
    if place.startswith("pool-") and place not in held.tables[POOL].values() and _deserted(held, place):
        held.free.append(place)


def _deserted(held: Held, place: str) -> bool:
    return place not in held.free and not any(where == place for where, _ in held.leaving)


def _server_settled(held: Held, step: Step, before: str | None) -> None:
    place = step.table.partition("/")[2]
    if step.value is not None:
        held.leaving.discard((place, step.key))
    elif before is not None:
        held.leaving.add((place, step.key))


def _frame_differs(held: Held, wished: Assembly, chosen: Frame) -> bool:
    certificates = wished.touched_chains & {port.default_certificate for port in wished.ports.values()}
    policies = any(port.policies for port in wished.ports.values()) and (wished.touched_chains or wished.touched_names)
    if not (wished.touched_frame or wished.forks.touched or certificates or policies):
        return False
    return frame_digest(wished, chosen) != held.frame


class _Builder:
    """The parts of a plan, gathered in the order in which they must happen."""

    def __init__(self, held: Held, wished: Assembly) -> None:
        self._held, self._wished = held, wished
        self._free = list(held.free)
        self._new: list[Step] = []
        self._rows: list[Step] = []
        self._old_rows: list[Step] = []
        self._servers: list[Step] = []
        self._moved_in: list[Step] = []
        self._old_servers: list[Step] = []
        self._abandoned: list[Step] = []
        self._shown: list[Step] = []
        self._hidden: list[Step] = []

    def parts(self) -> Iterable[list[Step]]:
        """All steps, in order."""
        return (
            self._shown,
            self._servers,
            self._moved_in,
            self._new,
            self._rows,
            self._old_rows,
            self._old_servers,
            self._abandoned,
            self._hidden,
        )

    def parts_at_once(self) -> Iterable[list[Step]]:
        """Those that need no reload. A section that is left serves until then: rows still name it."""
        return (self._shown, self._servers, self._old_servers, self._hidden)

    def sections(self) -> set[Cause]:
        """Places for new sections, and the end of old ones."""
        causes: set[Cause] = set()
        for name in sorted(self._wished.sections.touched):
            section, place = self._wished.sections.rows.get(name), self._held.place(name)
            if section is None and place is not None:
                self._leave(name, place)
            elif section is not None and place is None:
                causes |= self._begin(section)
            elif section is not None and place is not None:
                self._servers += self._compared(section, place)
        return causes

    def endpoints(self) -> None:
        """Servers of sections that stay."""
        touched = self._wished.sections.touched
        for source in sorted(self._wished.touched_sources):
            for name in sorted(self._wished.by_source.get(source, ())):
                place = self._held.place(name)
                if place is not None and name not in touched:
                    self._servers += self._compared(self._wished.sections.rows[name], place)

    def maps(self) -> None:
        """Rows of maps: first what is named, then who names it."""
        wished = self._wished
        tables = [(USERS, wished.users), (SHARES, wished.shares), (ROUTES, wished.routes)]
        for name, rows in (*tables, *([(STREAMS, wished.streams)] if wished.leads else [])):
            for touched in sorted(rows.touched):
                self._row(name, touched, rows.rows.get(touched))

    def certificates(self) -> None:
        """Certificates, and the names that they are shown for."""
        held, files = (
            self._held.table(CERTIFICATES),
            {certificate_file(name): name for name in self._wished.touched_chains},
        )
        for file, name in sorted(files.items()):
            chain = self._wished.chains.get(name)
            if chain is not None and held.get(file) != digest(chain.pem):
                self._shown += _certificate(file, chain.pem, known=file in held)
        for port in self._wished.ports.values():
            if port.tls:
                self._list(port)
        for file, name in sorted(files.items()):
            if name not in self._wished.chains and file in held:
                self._hidden.append(Step(command=f"del ssl cert {spoken(file)}", table=CERTIFICATES, key=file, says="deleted",
                                         refusable="may"))  # fmt: skip

    def _begin(self, section: Section) -> set[Cause]:
        if not section.pooled:
            return {Cause.SECTION}
        place = next((one for one in reversed(self._free) if is_slot_of_bytes(one) is section.of_bytes), None)
        if place is None:
            return {Cause.POOL}
        self._free.remove(place)
        self._moved_in += self._compared(section, place)
        self._new.append(_row_added(POOL, section.name, place))
        return set()

    def _leave(self, name: str, place: str) -> None:
        if place != name:
            self._old_rows.append(_row_gone(POOL, name))
        for server in sorted(self._held.table(f"servers/{place}")):
            self._abandoned.append(_server_out(place, server))

    def _compared(self, section: Section, place: str) -> Iterator[Step]:
        """The servers that come or change; those that go are noted."""
        table = f"servers/{place}"
        held, wished = self._held.table(table), servers_of(self._wished, section)
        for server, text in sorted(wished.items()):
            if held.get(server) != text:
                known = server in held or (place, server) in self._held.leaving
                yield from _server_in(place, server, text, section, known=known)
        self._old_servers += [_server_out(place, server) for server in sorted(held.keys() - wished.keys())]

    def _row(self, name: str, touched: str, value: str | None) -> None:
        held = self._held.table(name).get(touched)
        if value is None and held is not None:
            self._old_rows.insert(0, _row_gone(name, touched))
        elif value is not None and held is None:
            self._rows.append(_row_added(name, touched, value))
        elif value is not None and held != value:
            self._rows.append(
                Step(command=f"set map {name} {spoken(touched)} {spoken(value)}", table=name, key=touched, value=value)
            )

    def _list(self, port: Port) -> None:
        file, table = list_file(port), f"list/{port.port}"
        held, policies = self._held.table(table), {policy.hostname for policy in port.policies}
        for name in sorted(self._wished.touched_names - policies - {EVERY}):
            before, certificate = held.get(name), self._wished.certificate_of(name)
            after = certificate_file(certificate) if certificate is not None else None
            if before == after:
                continue
            if before is not None:
                written = table if after is None else ""
                self._hidden.insert(
                    0,
                    Step(
                        command=f"del ssl crt-list {file} {spoken(before)}",
                        line_of=name,
                        table=written,
                        key=name,
                        says="deleted",
                    ),
                )
            if after is not None:
                self._shown.append(Step(command=f"add ssl crt-list {file} <<", payload=f"{key(after)} {key(name)}",
                                        table=table, key=name, value=after, says="Success"))  # fmt: skip


def _row_added(name: str, row: str, value: str) -> Step:
    return Step(command=f"add map {name} {spoken(row)} {spoken(value)}", table=name, key=row, value=value)


def _row_gone(name: str, row: str) -> Step:
    return Step(command=f"del map {name} {spoken(row)}", table=name, key=row)


def _server_in(place: str, server: str, text: str, section: Section, *, known: bool) -> Iterator[Step]:
    at, weight = text.split(" ")
    table, names = f"servers/{place}", f"{place}/{server}"
    if known:
        yield Step(command=f"set server {names} weight {weight}")
    else:
        keywords = "".join(" " + spoken(word) for word in section.keywords)
        yield Step(command=f"add server {names} {at}{keywords} weight {weight}", says="New server registered")
        if section.checked:
            yield Step(command=f"enable health {names}")
    yield Step(command=f"set server {names} state ready", table=table, key=server, value=text)


def _server_out(place: str, server: str) -> Step:
    return Step(command=f"set server {place}/{server} state maint", table=f"servers/{place}", key=server)


def _certificate(file: str, pem: str, *, known: bool) -> Iterator[Step]:
    if not known:
        yield Step(command=f"new ssl cert {spoken(file)}", says="New empty certificate store")
    yield Step(command=f"set ssl cert {spoken(file)} <<", payload=pem.strip(), says="Transaction", private=True)
    yield Step(
        command=f"commit ssl cert {spoken(file)}", table=CERTIFICATES, key=file, value=digest(pem), says="Success"
    )

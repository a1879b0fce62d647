"""`weir explain URL [DIR|--live]`: who answers this request, and why nobody else does.

Comes in: a URL (http, https; tls, tcp and udp for bytes), and manifests or a running program. Goes out: the listener, the host, what Gateway API's objects say of it, every route that was considered with the condition that it failed, the
route that decided (object, field, file and line), what it does, the backends with their endpoints, the certificate, and findings. Exit code 0: it is
forwarded, redirected or answered; 1: nobody serves it (404, 503 or no listener); 2: it could not run.
"""

from collections.abc import Iterator
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from weirkeeper.cli.answers import Explanation, explained
from weirkeeper.cli.ask import Live, StateDir, running
from weirkeeper.cli.check import AsWhat
from weirkeeper.cli.offline import NOTHING_SAID, SAID_ERRORS, HttpPort, HttpsPort, ProviderName, chosen, loaded, refused
from weirkeeper.cli.places import Places
from weirkeeper.cli.render import Output, clean, console, finding_lines, say_json
from weirkeeper.cli.standing import GRANT, good
from weirkeeper.compose.explain import Answer, BackendSeen, Verdict, request_of
from weirkeeper.compose.explain.request import STREAMS
from weirkeeper.model.text import Refused

Url = Annotated[str, typer.Argument(metavar="URL", help="What a client asks for, such as https://shop.example/cart.")]
Where = Annotated[
    str | None, typer.Argument(metavar="[DIR]", help="Folder or file of manifests; `-` reads standard input.")
]
Method = Annotated[str, typer.Option("--method", "-X", help="The request's method.")]
Header = Annotated[
    list[str], typer.Option("--header", "-H", help="A header, as `Name: value`; may be given several times.")
]
ClientAddress = Annotated[str, typer.Option("--source", help="The client's address.")]
MOST = 20
"""So many endpoints and lost routes are shown; `--all` shows every one."""
All = Annotated[bool, typer.Option("--all", help="Show every endpoint and every route that lost.")]


def explain(  # noqa: PLR0917 - typer makes options of them
    url: Url,
    source: Where = None,
    method: Method = "GET",
    header: Header = [],  # noqa: B006 - typer copies it
    client: ClientAddress = "",
    live: Live = False,
    state_dir: StateDir = None,
    every: All = False,
    output: AsWhat = Output.TEXT,
    provider: ProviderName = "envoy",
    http_port: HttpPort = 8080,
    https_port: HttpsPort = 8443,
) -> None:
    """Say why a URL is answered as it is: from manifests, or by the running program."""
    request = request_of(url, method, header, client)
    if isinstance(request, Refused):
        refused("explain", request.why)
    places: Places | None = None
    if live:
        query = [("url", url), ("method", method), ("source", client), *(("header", line) for line in header)]
        found = running("explain", source, state_dir).typed("/explain", Explanation, query)
    elif source is None:
        refused("explain", "name a folder of manifests, or ask the running program with --live")
    else:
        read = loaded("explain", source, chosen("explain", provider, http_port, https_port))
        places = read.places
        found = _placed(explained(read.reconciler, request), places)
    if found.refused:
        refused("explain", found.refused)
    if output is Output.JSON:
        say_json(found)
    else:
        say(console(), found, places, every)
    raise typer.Exit(exit_code(found))


def exit_code(found: Explanation) -> int:
    """0 where somebody serves the request."""
    unserved = all(one.route is None or one.status in {404, 503} for one in found.answers)
    return SAID_ERRORS if unserved else NOTHING_SAID


def _placed(found: Explanation, places: Places) -> Explanation:
    answers = (
        msgspec.structs.replace(one, place=str(places.of(one.decided_by) or "")) if one.decided_by else one
        for one in found.answers
    )
    return msgspec.structs.replace(found, answers=tuple(answers))


def say(out: Console, found: Explanation, places: Places | None, every: bool) -> None:
    """The explanation, for people."""
    if not found.answers:
        out.print("there is no load balancer: nothing in these manifests makes one")
    for one in found.answers:
        out.print(Text(clean(_asked(one)), "bold"))
        colour = "green" if one.route and (one.status or 0) < 400 else "red"
        out.print(Text.assemble("  ", (clean(one.summary), f"bold {colour}")))
        for line in _reasons(one):
            out.print(line)
        for line in _considered(one, every):
            out.print(line)
        for line in _does(one, every):
            out.print(line)
        for finding in one.findings:
            for line in finding_lines(finding, places, "  "):
                out.print(line)
        for word in one.engine:
            style = "red" if word.state == "rejected" else "dim"
            out.print(
                Text(clean(f"  engine: {word.kind.rpartition('.')[2]} {word.name} {word.state}: {word.message}"), style)
            )


def _fact(name: str, text: str) -> Text:
    return Text.assemble((f"  {name:<12}", "dim"), clean(text))


def _asked(one: Answer) -> str:
    """The request, or what a connection of bytes is told by."""
    request = one.request
    if request.scheme in STREAMS:
        return f"{request.scheme}://{request.host}" + (f":{request.port}" if request.port else "")
    return f"{request.method} {request.scheme}://{request.host}{one.path}"


def _reasons(one: Answer) -> list[Text]:
    lines = []
    if one.decided_by is not None:
        place = f" ({one.place})" if one.place else ""
        rule = f", the rule {one.rule}" if one.rule else ""
        lines.append(_fact("decided by", f"{one.decided_by}{rule}{place}"))
        lines += [_fact("and by", str(origin)) for origin in one.also]
    lines.append(_fact("listener", f"{one.listener or 'none'} of {one.load_balancer}"))
    if one.certificate is not None:
        names = ", ".join(one.certificate.names) or "no names"
        kind = ", the default one" if one.certificate.default else ""
        until = f", until {one.certificate.not_after}" if one.certificate.not_after else ""
        lines.append(_fact("certificate", f"{one.certificate.id} for {names}{kind}{until}"))
    elif one.request.scheme == "https" and one.listener is not None and not one.stream:
        lines.append(_fact("certificate", "none is held for this host: the handshake fails"))
    lines += [_fact("host", f"{tried.hostname}: {tried.why}") for tried in one.hosts]
    return [*lines, *_standing(one)]


def _standing(one: Answer) -> Iterator[Text]:
    """A line for each object of Gateway API, with its conditions; what is amiss with its reason. And one for each consent."""
    parts = dict.fromkeys((word.object, word.part) for word in one.objects if word.type != GRANT)
    for ref, part in parts:
        words = [word for word in one.objects if (word.object, word.part) == (ref, part) and word.type != GRANT]
        told = ", ".join(word.type if word.status == "True" else f"not {word.type}" for word in words if good(word))
        if told:
            yield _fact("conditions", f"{ref}{f' {part}' if part else ''}: {told}")
        for word in words:
            if not good(word):
                why = f"{ref}{f' {part}' if part else ''}: {word.type} {word.status}, {word.reason}: {word.message}"
                yield Text.assemble(("  conditions  ", "dim"), (clean(why), "yellow"))
    yield from (_fact("consent", f"{word.object} {word.message}") for word in one.objects if word.type == GRANT)


def _considered(one: Answer, every: bool) -> list[Text]:
    shown = one.considered if every else _near(one.considered)
    lines = [_verdict_line(one.considered.index(verdict) + 1, verdict) for verdict in shown]
    hidden = len(one.considered) - len(shown)
    if hidden:
        lines.append(Text(f"    … and {hidden} more routes that lost (--all shows them)", "dim"))
    return lines


def _near(verdicts: tuple[Verdict, ...]) -> tuple[Verdict, ...]:
    """The winner and those whose path fits first of all: the others are seldom asked about."""
    near = [one for one in verdicts if one.taken or one.lost_by != "path"]
    room = max(0, MOST - len(near))
    wanted = {id(one) for one in (*near, *[one for one in verdicts if one.lost_by == "path"][:room])}
    return tuple(one for one in verdicts if id(one) in wanted)


def _verdict_line(number: int, verdict: Verdict) -> Text:
    mark, style = ("✓", "green") if verdict.taken else ("✗", "dim")
    line = Text.assemble(f"    {number}. ", (mark, style), " ", (clean(verdict.match), "bold" if verdict.taken else ""))
    line.append(clean(f": {verdict.why}  ({verdict.origin})"), "dim" if not verdict.taken else "")
    return line


def _does(one: Answer, every: bool) -> list[Text]:
    lines = [_fact(setting.field, setting.value) for setting in one.settings]
    if one.backend_path is not None and one.backend_path != one.path:
        lines.append(_fact("backend sees", one.backend_path))
    for backend in one.backends:
        lines += _backend_lines(backend, every)
    return lines


def _backend_lines(backend: BackendSeen, every: bool) -> list[Text]:
    spoken = f", {backend.protocol}{' over TLS' if backend.tls else ''}" if backend.protocol else ""
    ready = f"{backend.usable} of {len(backend.endpoints)} endpoints usable" if not backend.note else backend.note
    lines = [_fact("backend", f"{backend.id}: {backend.share:g} %{spoken}, {ready}")]
    shown = backend.endpoints if every else backend.endpoints[:MOST]
    for endpoint in shown:
        zone = f" in {endpoint.zone}" if endpoint.zone else ""
        lines.append(Text(clean(f"                {endpoint.address}:{endpoint.port} {endpoint.state}{zone}"), "dim"))
    if len(shown) < len(backend.endpoints):
        lines.append(
            Text(f"                … and {len(backend.endpoints) - len(shown)} more (--all shows them)", "dim")
        )
    return lines

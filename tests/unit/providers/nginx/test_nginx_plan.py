"""What is an entry and what stands in the file: as values, without an NGINX."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from weirkeeper.model.backend import Backend, BackendTls, FromEndpointSet
from weirkeeper.model.filters import BasicAuth, Credentials, ErrorPages, Retry, Timeouts
from weirkeeper.model.ids import Ref
from weirkeeper.model.listener import Listener, ListenerTls
from weirkeeper.model.origin import Origin
from weirkeeper.model.route import Forward, Route, VirtualHost, WeightedBackend
from weirkeeper.model.secret import Secret
from weirkeeper.providers.base import EngineItem, ItemKey
from weirkeeper.providers.items import item
from weirkeeper.providers.nginx.assembly import Assembly
from weirkeeper.providers.nginx.plan import CAUSES, Cause, File, Held, causes, file_of, mark, plan
from weirkeeper.providers.nginx.printed import printed
from weirkeeper.providers.nginx.translate import backends, hosts, items, listeners
from weirkeeper.providers.nginx.translate.items import Way

ORIGIN = Origin(ref=Ref(kind="Ingress", namespace="d", name="n"))
L: Any = "l"
DOCS = Path(__file__).parents[4] / "docs"


def backend(name: Any = "b", **fields: Any) -> Backend:
    return Backend(id=name, source=FromEndpointSet(id=name), **fields)


def host(hostname: str, leads_to: Backend | None = None, **fields: Any) -> dict[ItemKey, EngineItem | None]:
    action: Any = Forward(backends=(WeightedBackend(backend="b"),))  # type: ignore[arg-type]
    route = Route(id="r", action=action, origin=ORIGIN, **fields)  # type: ignore[arg-type]
    wished = VirtualHost(id=hostname, load_balancer=L, group="g", hostname=hostname, routes=(route,))  # type: ignore[arg-type]
    made = hosts.host(wished, lambda _: leads_to or backend(), Timeouts(), lambda _: False)
    return dict([item(L, items.HOST, hosts.host_name("g", hostname), made)])


def port(number: int = 8080, **fields: Any) -> dict[ItemKey, EngineItem | None]:
    one = Listener(id="one", load_balancer=L, group="g", port=number, addresses=("127.0.0.1",), origin=ORIGIN, **fields)  # type: ignore[arg-type]
    made = listeners.port(number, (one,), lambda _: False)
    return dict([item(L, items.PORT, made.entry, made)])


def held(wished: Assembly) -> Held:
    """As after everything was taken."""
    wished.touched.clear()
    return Held({key: text.partition(" ")[0] for key, text in wished.entries.items()}, file_of(wished, "s"))


def assembled(*changes: dict[ItemKey, EngineItem | None]) -> Assembly:
    made = Assembly()
    for one in changes:
        made.take(one)
    return made


def test_a_route_is_an_entry_and_nothing_else() -> None:
    wished = assembled(port(), host("a.example"))
    before = held(wished)
    wished.take(host("b.example", request_headers=None, body_limit=None))
    found = plan(L, before, wished, "s")
    assert (len(found.now), found.later, found.gone, found.causes) == (1, (), (), ())


@pytest.mark.parametrize(
    "wish",
    [
        {"retry": Retry(attempts=2, statuses=(503,))},
        {"error_pages": ErrorPages(codes=(404,), backend="b")},
        {"body_limit": 1024},
    ],  # type: ignore[arg-type]
    ids=str,
)
def test_what_needs_a_way_waits_for_the_file_the_first_time(wish: dict[str, Any]) -> None:
    wished = assembled(port(), host("a.example"))
    before = held(wished)
    wished.take(host("b.example", **wish))
    found = plan(L, before, wished, "s")
    assert (found.now, len(found.later), found.causes) == ((), 1, (Cause.WAYS,))
    after = held(wished)
    wished.take(host("c.example", **wish))
    found = plan(L, after, wished, "s")
    assert (len(found.now), found.later, found.causes) == (1, (), ())


def test_a_way_that_nobody_needs_reloads_nothing() -> None:
    wished = assembled(port(), host("a.example", body_limit=1024))
    before = held(wished)
    wished.take(host("a.example"))
    assert plan(L, before, wished, "s").causes == ()


def test_a_verified_backend_is_led_to_by_its_way_alone() -> None:
    tls: Any = BackendTls(verify=True, trust="ca", server_name="s.example")  # type: ignore[arg-type]
    secure = backend(tls=tls)
    (made,) = host("a.example", secure).values()
    assert made is not None
    share = json.loads(made.whole)["routes"][0]["action"]["backends"][0]
    asked = backends.backend(secure, lambda _: False)
    assert share["via"] == asked["via"] == backends.way_of(secure, lambda _: False).name
    assert backends.way_of(secure, lambda _: False).trust


def test_a_port_that_goes_keeps_its_entry_for_workers_that_end() -> None:
    wished = assembled(port(), port(9090), host("a.example"))
    before = held(wished)
    wished.take(dict.fromkeys(port(9090)))
    found = plan(L, before, wished, "s")
    assert (found.gone, found.causes) == ((), (Cause.LISTENERS,))


def test_entries_go_before_what_names_them_and_leave_after_it() -> None:
    wished = assembled(
        port(), host("a.example"), dict([item(L, items.BACKEND, "b", {}), item(L, items.ENDPOINTS, "b", {})])
    )
    first = plan(L, Held({}, file_of(wished, "s")), wished, "s")
    assert [key[0] for key in first.now] == ["e", "b", "p", "h"]
    before = held(wished)
    wished.take(dict.fromkeys([key for key in wished.items if key.kind != items.PORT]))
    assert [key[0] for key in plan(L, before, wished, "s").gone] == ["h", "b", "e"]


def test_the_mark_tells_files_apart() -> None:
    plain = file_of(assembled(port()), "s")
    ways = msgspec.structs.replace(plain, ways=frozenset({Way(body=1)}))
    tls: Any = ListenerTls(min_version="1.3")
    secure = file_of(assembled(port(tls=tls)), "s")
    assert len({mark(one) for one in (plain, ways, secure, File(settings="t"))}) == 4
    assert causes(plain, secure) == (Cause.LISTENERS,)


def test_no_secret_is_printed() -> None:
    users: Any = (Credentials(user="ann", hash=Secret("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=")),)  # type: ignore[arg-type]
    found = {**port(), **host("a.example", auth=(BasicAuth(users=users),))}
    found |= dict([item(L, items.CERTIFICATE, "c", {"chain": "CHAIN", "key": "KEY"}, private=True)])
    text = printed({key: one for key, one in found.items() if one is not None})
    assert "ann" in text
    assert "CHAIN" in text
    assert not [secret for secret in ("W6ph5", "KEY") if secret in text]


def test_every_cause_is_in_the_documentation() -> None:
    page = (DOCS / "nginx.md").read_text()
    assert [f"| `{cause}` | {why} |" for cause, why in CAUSES.items() if f"| `{cause}` | {why} |" not in page] == []

"""No text of a tenant changes what NGINX or our Lua reads: an independent parser finds the same directives, LuaJIT reads back the very text, and NGINX answers with it to the letter.

*Structure*: crossplane (not ours) reads the file with the text at every place of a listener: the same tree, or the text is refused as unspeakable. *Routes*: no text of a route stands in the file at all. *Lua*: our reader of
JSON, on the LuaJIT that NGINX runs, against Python's. *Engine*: one NGINX that holds all of it.
"""

import json
import random
from pathlib import Path
from typing import Any

import crossplane
import msgspec
import pytest
from corpus import corpus
from leaves import leaves, replaced
from lua_runtime import Lua
from watched import Watched, settled

from weirkeeper.model.ids import Ref
from weirkeeper.model.listener import ClientValidation, Listener, ListenerTls
from weirkeeper.model.match import ExactPath, RouteMatch
from weirkeeper.model.origin import Origin
from weirkeeper.model.route import Respond
from weirkeeper.model.text import BodyText, Id, IpAddress, PathText, Refused, parse
from weirkeeper.providers.nginx import PROVIDER
from weirkeeper.providers.nginx.plan import File, written
from weirkeeper.providers.nginx.translate import listeners
from weirkeeper.providers.nginx.translate.frame import Frame
from weirkeeper.providers.nginx.translate.items import Way
from weirkeeper.providers.nginx.translate.quoting import Unspeakable, word
from weirkeeper.testing.conformance import Site
from weirkeeper.testing.conformance.backends import running_backends
from weirkeeper.testing.conformance.stage import running_stage

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("nginx-injection")]

FRAMES = ("{}", "{}; } server { listen 1", "x' {}", "${}", "{}\nload_module evil.so;", '"]]{}')
PAYLOADS = list(dict.fromkeys(frame.replace("{}", text) for frame in FRAMES for text in corpus()))
ORIGIN = Origin(ref=Ref(kind="Ingress", namespace="d", name="n"))
TLS: Any = ListenerTls(ciphers=("AES",), curves=("P-256",), client_validation=ClientValidation(trust="ca"))  # type: ignore[arg-type]
LISTENER: Any = Listener(
    id="one",
    load_balancer="l",
    group="g",
    port=8443,
    hostname="p.example",
    addresses=("127.0.0.1",),
    tls=TLS,
    origin=ORIGIN,
)  # type: ignore[arg-type]
GENERAL: Any = Listener(
    id="two", load_balancer="l", group="g", port=8443, addresses=("127.0.0.1",), tls=TLS, origin=ORIGIN
)  # type: ignore[arg-type]
PLACES = [
    leaf for leaf in leaves(LISTENER) if leaf.kind not in {IpAddress, Id}
]  # an address is read before it is written, and of an id a digest is


def tree(text: str, folder: Path) -> list[Any]:
    """The directives, without their line numbers."""
    path = folder / "nginx.conf"
    path.write_text(text)
    read = crossplane.parse(str(path), combine=False, single=True, comments=False, strict=False)
    assert read["status"] == "ok", read["errors"]
    return [_bare(one) for one in read["config"][0]["parsed"]]


def _bare(one: dict[str, Any]) -> list[Any]:
    return [one["directive"], one["args"], [_bare(inner) for inner in one.get("block", ())]]


def shape(found: list[Any]) -> list[Any]:
    """A tree with the number of words in place of the words."""
    return [[name, len(args), shape(block)] for name, args, block in found]


def file_with(listener: Listener) -> str:
    port = listeners.port(8443, (listener, GENERAL), lambda _: True)
    return written(File(ports=(port,)), Frame(workers=1))


def test_payloads_are_many() -> None:
    assert len(PAYLOADS) >= 2000
    assert {str(leaf) for leaf in PLACES} >= {"hostname", "tls.ciphers.0", "tls.curves.0"}


@pytest.mark.parametrize("leaf", PLACES, ids=str)
def test_no_text_of_a_listener_changes_the_file(leaf: Any, tmp_path: Path) -> None:
    before = shape(tree(file_with(LISTENER), tmp_path))
    spoken = 0
    for text in PAYLOADS:
        try:
            file = file_with(replaced(LISTENER, leaf.path, text))
        except Unspeakable:
            continue
        if spoken < 60:  # the parser takes its time
            assert shape(tree(file, tmp_path)) == before, text
        else:
            assert not set(text) & set(" \t\r\n;{}\"'$\\#"), text
        spoken += 1
    assert spoken


def test_a_word_is_itself_or_nothing(tmp_path: Path) -> None:
    spoken = 0
    for text in PAYLOADS:
        try:
            said = word(text)
        except Unspeakable:
            continue
        assert said == text
        assert not set(text) & set(" \t\r\n;{}\"'$\\#"), text
        spoken += 1
    assert 0 < spoken < len(PAYLOADS) // 2
    with pytest.raises(Unspeakable):
        written(File(ways=frozenset({Way(ciphers=("AES; } server {",))})), Frame())


def test_lua_reads_every_text_as_it_is() -> None:
    lua = Lua("json.lua", "decode")
    chance = random.Random(3)
    more = [
        "".join(
            chr(chance.choice((chance.randrange(128), chance.randrange(0x20, 0xD7FF), 92, 34)))
            for _ in range(chance.randrange(12))
        )
        for _ in range(4000)
    ]
    for text in [*PAYLOADS, *more]:
        for encoded in (msgspec.json.encode(text), json.dumps(text, ensure_ascii=False).encode()):
            assert lua.ask(encoded) == text.encode(), text


@pytest.mark.parametrize(
    "text",
    [
        '"',
        '"a',
        '"\\x"',
        '"\\u12"',
        "{",
        '{"a"}',
        '{"a":1,}',
        "[1,]",
        "[1",
        "tru",
        "1 2",
        '"a" "b"',
        "",
        "[" * 100 + "]" * 100,
        "{'a':1}",
    ],
)
def test_lua_takes_nothing_that_is_no_json(text: str) -> None:
    assert Lua("json.lua", "decode").ask(text.encode()) is None


def test_nginx_says_every_text_to_the_letter() -> None:
    """As answers of its own, one route each, and none of it is in its file."""
    rig = Watched(PROVIDER, options={"reload-milliseconds": "50"})
    texts = [text for text in PAYLOADS if text and not isinstance(parse(BodyText, text), Refused)][::3]
    assert len(texts) > 600
    with running_backends() as backends, running_stage(rig) as stage:
        site = Site(stage, backends, "letters")
        routes = [
            site.route(RouteMatch(path=ExactPath(value=PathText(f"/{n}"))), to=Respond(status=200, body=BodyText(text)))
            for n, text in enumerate(texts)
        ]
        site.apply(site.neutral(*routes))
        site.until(lambda got: got.status == 200, "/0")
        settled(site, rig)
        for number, text in enumerate(texts):
            assert site.get(f"/{number}").body == text.encode(), text
        file = (rig.keeper.folder / "nginx.conf").read_text()
        assert not [text for text in texts if len(text) > 12 and text in file]

"""The file that NGINX is started from, as text: constant but for listeners and the ways that requests need. Pure.

Comes in: ports, ways, what an installation chooses, and a mark by which a running NGINX tells what it was started from. Goes out: the lines. Every path is relative to the folder that NGINX is started in. A location
that refuses nobody leads to a backend, so what a request is refused by runs before any of them: in ``location /``, whatever its path.
"""

from collections.abc import Iterable, Iterator

from weirkeeper.model.value import Value
from weirkeeper.providers.nginx.translate.items import (
    NO_STREAMS,
    Policy,
    Port,
    Secured,
    Streams,
    Times,
    Way,
    revoked_file,
)
from weirkeeper.providers.nginx.translate.quoting import word
from weirkeeper.providers.nginx.translate.stream_frame import streams

CONFIGURATION, CONTROL, ASKED, STAND_IN = "nginx.conf", "control.sock", "ask.sock", "stand-in.pem"
LOG, ERRORS, PID, TEMPORARY = "access.log", "error.log", "nginx.pid", "temporary"
FOLDERS = ("body", "proxy", "fastcgi", "uwsgi", "scgi")
DEEPEST = 100
MODULES, STREAMS = ("ndk_http_module", "ngx_http_lua_module"), "ngx_stream_module"
GUARDED = ' require("weir.master").guard()'


class Frame(Value, frozen=True, kw_only=True):
    """What an installation chooses. ``modules`` is where NGINX's modules lie; empty: whoever starts it loads them, or they are built in; ``streams``: there is one for streams. ``user`` is whom workers run as, where the master is root. ``alive`` is
    an address with a port at which NGINX answers probes of its own life; empty: nowhere. Sizes are in MiB.
    """

    workers: int | None = None
    connections: int = 4096
    stop_seconds: int = 60
    dictionary: int = 64
    modules: str = "/usr/lib/nginx/modules"
    streams: bool = True
    user: str = ""
    alive: str = ""


def configuration(
    ports: Iterable[Port],
    ways: Iterable[Way],
    chosen: Frame,
    mark: str,
    *,
    told: Streams = NO_STREAMS,
) -> str:
    """The whole file. A gate has no ports: it can be programmed, and serves nobody."""
    every = list(ports)
    lines = [*_general(chosen), "http {", *_indented(_http(chosen, mark, listens=bool(every)))]
    lines += _indented((*_control(mark, every), *_alive(chosen.alive), *servers((*every, *told.fading.ports), ways)))
    return "\n".join([*lines, "}", *streams(every, told, LOG), ""])


def servers(ports: Iterable[Port], ways: Iterable[Way]) -> Iterator[str]:
    """The blocks that follow from what is wished; all else of the file is the same for everybody."""
    every = [way for _, way in sorted({way.name: way for way in ways}.items())]
    yield from _asked(every)
    for one in sorted(ports, key=lambda port: port.port):
        if one.stream and not one.stream.http:
            continue
        yield from _server(one, None, every)
        for number, policy in enumerate(one.policies, start=1):
            yield from _server(one, (number, policy), every)


def _indented(lines: Iterable[str]) -> list[str]:
    return ["  " + line if line else "" for line in lines]


def _general(chosen: Frame) -> Iterator[str]:
    if chosen.user:
        yield f"user {word(chosen.user)};"
    yield from (
        "daemon off;",
        f"worker_processes {chosen.workers or 'auto'};",
        f"worker_shutdown_timeout {chosen.stop_seconds}s;",
        f"pid {PID};",
        f"error_log {ERRORS} warn;",
        "pcre_jit on;",
        *(
            f"load_module {word(chosen.modules)}/{name}.so;"
            for name in (*MODULES, *[STREAMS] * chosen.streams)
            if chosen.modules
        ),
        "events {",
        f"  worker_connections {chosen.connections};",
        "}",
    )


def _http(chosen: Frame, mark: str, *, listens: bool) -> Iterator[str]:
    yield from (f"{name}_temp_path {TEMPORARY}/{name};" for name in ("client_body", *FOLDERS[1:]))
    yield from (
        'lua_package_path "$prefix/?.lua;/usr/share/lua/5.1/?.lua;;";',
        f"lua_shared_dict weir_config {chosen.dictionary}m;",
        "lua_shared_dict weir_state 8m;",
        "lua_shared_dict weir_limits 16m;",
        "lua_shared_dict weir_health 16m;",
        "lua_regex_match_limit 10000;",
        "lua_regex_cache_max_entries 8192;",
        "lua_socket_log_errors off;",
        "lua_max_pending_timers 1024;",
        "lua_max_running_timers 1024;",
        f'init_by_lua_block {{ require("resty.core") require("weir.lead") require("weir.certificates") require("weir.control"){GUARDED if listens else ""} }}',
        f'init_worker_by_lua_block {{ require("weir.turn").begin("{word(mark)}") require("weir.probing").begin() }}',
        (
            'log_format weir escape=json \'{"time":"$time_iso8601","client":"$weir_client","method":"$request_method","host":"$host","uri":"$request_uri",'
            '"status":$status,"bytes":$bytes_sent,"seconds":$request_time,"upstream":"$upstream_addr","upstream_status":"$upstream_status"}\';'
        ),
        "map $http_upgrade $weir_connection { default ''; ~*^websocket$ upgrade; }",
        "map $http_upgrade $weir_upgrade { default ''; ~*^websocket$ websocket; }",
        "server_tokens off;",
        "underscores_in_headers off;",
        "client_max_body_size 0;",
        "client_body_buffer_size 64k;",
        "keepalive_requests 1000000;",
        "tcp_nodelay on;",
        "variables_hash_max_size 2048;",
        "server_names_hash_bucket_size 512;",
        "server_names_hash_max_size 8192;",
        "uninitialized_variable_warn off;",
        *_proxy("proxy"),
        "proxy_http_version 1.1;",
        "proxy_set_header Host $weir_host;",
        "proxy_set_header Upgrade $weir_upgrade;",
        "proxy_set_header Connection $weir_connection;",
        "proxy_buffering off;",
        "proxy_request_buffering off;",
        "proxy_buffers 4 32k;",
        "proxy_max_temp_file_size 0;",
        "proxy_redirect off;",
        *_proxy("grpc"),
        "grpc_set_header Host $weir_host;",
    )
    for name, kept in (("weir_plain", 256), ("weir_http2", 64), ("weir_tls", 0)):
        yield from (
            f"upstream {name} {{",
            "  server 0.0.0.1;",
            '  balancer_by_lua_block { require("weir.lead").balance() }',
        )
        if kept:  # a connection by TLS is of one name and one certificate: none is kept for another request
            yield from (f"  keepalive {kept};", "  keepalive_requests 100000;", "  keepalive_timeout 55s;")
        yield "}"


_OWN = (
    "Server",
    "Date",
    "X-Accel-Redirect",
    "X-Accel-Expires",
    "X-Accel-Limit-Rate",
    "X-Accel-Buffering",
    "X-Accel-Charset",
)
"""Headers of backends that NGINX would keep to itself."""


def _proxy(module: str) -> Iterator[str]:
    """What both ways to speak to a backend have in common. No header of a backend tells NGINX anything."""
    yield from (f"{module}_pass_header {name};" for name in _OWN)
    ignored = (
        ("X-Accel-Redirect",) if module == "grpc" else (*_OWN[2:], "Expires", "Cache-Control", "Set-Cookie", "Vary")
    )
    yield from (
        f"{module}_ignore_headers {' '.join(ignored)};",
        f"{module}_next_upstream error;",
        f"{module}_next_upstream_tries 0;",
        f"{module}_buffer_size 32k;",
        f"{module}_ssl_server_name on;",
        f"{module}_ssl_name $weir_name;",
        f"{module}_ssl_session_reuse off;",
        f"{module}_ssl_certificate $weir_shown;",
        f"{module}_ssl_certificate_key $weir_secret;",
    )


_SET = (
    "set $weir_target $request_uri;",
    "set $weir_host $http_host;",
    'set $weir_pass "http://weir_plain";',
    *(f'set ${name} "";' for name in ("weir_key", "weir_name", "weir_shown", "weir_secret")),
)
"""What Lua changes where a request needs something else."""
_LED = "proxy_pass $weir_pass$weir_target;"


def _phases(server: str = "") -> tuple[str, ...]:
    """What Lua does with every answer; ``server`` is who it says answered, where nobody else does."""
    return (
        f'header_filter_by_lua_block {{ require("weir.lead").finish({server}) }}',
        'log_by_lua_block { require("weir.lead").log() }',
    )


def _control(mark: str, ports: Iterable[Port]) -> Iterator[str]:
    binds = " ".join(word(place) for port in ports for place in port.places)
    yield from (
        "server {",
        f"  listen unix:{CONTROL};",
        "  access_log off;",
        "  client_body_buffer_size 4m;",
        f'  location / {{ content_by_lua_block {{ require("weir.control").answer("{word(mark)}", "{binds}") }} }}',
        "}",
    )


def _alive(place: str) -> Iterator[str]:
    """Where probes are answered, at the gate as well."""
    if place:
        yield from ("server {", f"  listen {word(place)};", "  access_log off;", "  location / { return 200; }", "}")


def _asked(ways: Iterable[Way]) -> Iterator[str]:
    """Where this NGINX asks by itself."""
    yield from (
        "server {",
        f"  listen unix:{ASKED};",
        "  access_log off;",
        *_indented((*_SET, 'set $weir_client "";')),
        *_indented(_phases()),
        "  location / {",
        '    access_by_lua_block { require("weir.lead").asked() }',
        f"    {_LED}",
        "  }",
        *_indented(_ways(way for way in ways if not way.codes)),
        "}",
    )


def _server(port: Port, named: tuple[int, Policy] | None, ways: Iterable[Way]) -> Iterator[str]:
    number, policy = named or (0, None)
    words = [*(["ssl"] * port.tls), *(["http2"] * port.http2), *(["proxy_protocol"] * port.proxied)]
    words += ["default_server"] if policy is None else []
    yield "server {"
    for place in (f"unix:{port.within}",) if port.stream else port.places:
        yield f"  listen {' '.join([word(place), *words])};"
    yield f"  server_name {word(policy.hostname) if policy else '_'};"
    yield from _indented(_times(port.times))
    if port.tls:
        yield from _indented(_tls(policy.secured if policy else port.secured, port, number))
    yield from _indented(
        (
            *_SET,
            'set $weir_logged "1";',
            f"set $weir_client ${'proxy_protocol_addr' if port.proxied else 'remote_addr'};",
        )
    )
    yield f"  access_log {LOG} weir buffer=16k flush=1s if=$weir_logged;" if port.logged else "  access_log off;"
    if port.server_header == "overwrite":
        yield "  proxy_hide_header Server;"
    yield from _indented(_phases("" if port.server_header == "pass" else '"nginx"'))
    yield from (
        "  location / {",
        f'    access_by_lua_block {{ require("weir.lead").request("{word(port.entry)}", {number}) }}',
        f"    {_LED}",
        "  }",
        *_indented(_ways(ways)),
        *_indented(_pages()),
        "}",
    )


def _times(times: Times) -> Iterator[str]:
    yield from (
        f"client_header_timeout {max(times.header, 1)}ms;",
        f"client_body_timeout {max(times.idle, 1)}ms;",
        f"send_timeout {max(times.idle, 1)}ms;",
        f"keepalive_timeout {max(times.kept, 1)}ms;",
        f"large_client_header_buffers 8 {max(times.header_bytes // 4, 8192)};",
        f"http2_max_concurrent_streams {times.streams};",
    )


def _tls(wished: Secured, port: Port, number: int) -> Iterator[str]:
    yield f"ssl_certificate {STAND_IN};"
    yield f"ssl_certificate_key {STAND_IN};"
    yield f'ssl_certificate_by_lua_block {{ require("weir.certificates").show("{word(port.entry)}") }}'
    yield f"ssl_protocols {' '.join(wished.versions)};"
    if wished.ciphers:
        yield "ssl_ciphers " + word(":".join(wished.ciphers)) + ";"
    if wished.curves:
        yield "ssl_ecdh_curve " + word(":".join(wished.curves)) + ";"
    if port.validates:  # a session that is resumed would not be verified (CVE-2025-23419)
        yield "ssl_session_tickets off;"
    if wished.verify:
        if wished.trust:
            yield f"ssl_client_certificate {word(wished.trust)};"
        yield f"ssl_verify_client {wished.verify};"
        yield f"ssl_verify_depth {DEEPEST if wished.depth is None else wished.depth};"
        if wished.revoked:
            yield f"ssl_crl {word(revoked_file(wished.trust))};"
        yield "error_page 495 496 = @unverified;"
        yield f'location @unverified {{ content_by_lua_block {{ require("weir.lead").unverified("{word(port.entry)}", {number}) }} }}'


def _ways(ways: Iterable[Way]) -> Iterator[str]:
    for way in ways:
        module = "grpc" if way.http2 else "proxy"
        yield f"location {way.name} {{"
        if way.body is not None:  # none at all is any number to NGINX
            yield f"  client_max_body_size {max(way.body, 1)};"
        if way.timed:
            yield '  body_filter_by_lua_block { return require("weir.lead").passed() }'
        if way.again:
            if not way.http2:
                yield "  proxy_request_buffering on;"
            yield f"  {module}_next_upstream {' '.join(way.again)};"
        if way.codes:
            yield f"  {module}_intercept_errors on;"
            yield f"  error_page {' '.join(map(str, way.codes))} = @pages;"
        yield from _indented(_verified(way, module))
        if way.http2:
            yield f"  grpc_pass {'grpcs://weir_tls' if way.tls else 'grpc://weir_http2'};"
        else:
            yield f"  {_LED}"
        yield "}"


def _verified(way: Way, module: str) -> Iterator[str]:
    if way.versions:
        yield f"{module}_ssl_protocols {' '.join(way.versions)};"
    if way.ciphers:
        yield f"{module}_ssl_ciphers {word(':'.join(way.ciphers))};"
    if way.trust:
        yield f"{module}_ssl_trusted_certificate {word(way.trust)};"
        yield f"{module}_ssl_verify on;"
        yield f"{module}_ssl_verify_depth {DEEPEST if way.depth is None else way.depth};"
        if way.revoked:
            yield f"{module}_ssl_crl {word(revoked_file(way.trust))};"


def _pages() -> Iterator[str]:
    """Where another backend answers in place of an error. What it says has the last word."""
    yield from (
        "location @pages {",
        '  access_by_lua_block { require("weir.lead").page() }',
        "  proxy_pass_request_body off;",
        "  proxy_set_header Host $weir_host;",
        '  proxy_set_header Content-Length "";',
        '  proxy_set_header Connection "";',
        f"  {_LED}",
        "}",
    )

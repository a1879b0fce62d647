"""Strings that mean something somewhere: to Envoy's formatters, to regular expressions, to templates, Lua, YAML, JSON, HTTP, shells, terminals, paths.

In: nothing. Out: more than 500 different strings, always the same ones in the same order.
"""

from collections.abc import Iterator

SEEDS = (
    # Envoy's formatters and what looks like them
    "%REQ(x)%", "%%", "%", "%%REQ(x)%%", "%RESP(server)%", "%DOWNSTREAM_REMOTE_ADDRESS%", "%START_TIME(%s)%", "%DYNAMIC_METADATA(a:b)%", "%ENVIRONMENT(PATH)%",
    "%HOSTNAME%", "%PROTOCOL%", "%FILE_CONTENT(/etc/passwd)%", "%CEL(request.path)%", "%REQ(:authority)%", "%REQ(", "%)", "%25REQ(x)%25", "%41", "%2f..%2f",
    "%00", "%0d%0aX-Evil:1", "%UPSTREAM_HOST%", "%DURATION%", "%QUERY_PARAM(x)%", "%PATH(WQ)%", "%TRACE_ID%", "%a", "%zz", "{%REQ(x)%}",
    # substitutions and templates
    "\\1", "\\0", "\\9", "\\\\1", "\\", "$1", "$0", "$$", "${PATH}", "${x:-y}", "$(id)", "`id`", "{{ .Values.x }}", "{{7*7}}", "{http.request.host}", "{env.PATH}",
    "<%= 7*7 %>", "#{7*7}", "@{x}", "$request_uri", "$host", "${jndi:ldap://x}", "{*path}", "{path}", "{path=**}", "{", "}", "{}", "{{", "}}",
    # regular expressions
    ".*", "^.*$", "(a|b)*", "[^/]+", "(?i)a", "(?P<n>a)", "\\d+", "\\Qa\\E", "a{1,3}", "[[:alpha:]]", "|", "a|b", "(", ")", "[", "]", "+", "*", "?", "^", "$", ".",
    "(?:x)", "\\b", "\\x41", "\\pL", "x**", "(a+)+$",
    # globs and hosts
    "**", "*/*", "/**", "/*", "*.example", "*.*", "*:80", "a.example:80", "[::1]", "[::1]:80", "0x7f.1", "127.0.0.1", "localhost", "evil.example", "a_b.example",
    # HTTP
    "a\r\nX-Evil: 1", "a\nb", "a\rb", "a\tb", "a\x00b", "a, b", "a;b", "a=b; c=d", "a:b", ":path", ":authority", "Host", "x-envoy-original-path", "Transfer-Encoding",
    "text/html", "HTTP/1.1 200 OK", "chunked", "keep-alive, close", "a b", " a", "a ", '"a"', "'a'", 'a"b', "<script>alert(1)</script>", "javascript:alert(1)",
    "//evil.example", "///evil", "http://evil.example/", "https://a@evil.example/", "\\\\evil", "/\\evil", "ftp://x", "data:text/html,x", "http://[::1]/",
    # paths
    "../../etc/passwd", "..", ".", "...", "/..", "/../x", "/./x", "//", "/a//b", "/a/../b", "/%2e%2e/x", "/a%2fb", "/a;b", "/a?b", "/a#b", "/~a", "/(a)", "/a,b",
    "/!$&'()*+,;=:@", "/a.b", "/a|b", "/a^b", "/a`b", "/a\\b", "/a{b}", "/a[b]", '/a"b', "/a<b>", "/*a", "/a*", "/$1", "/\\1", "/%REQ(x)%", "/%25REQ(x)%25",
    # serialisers
    "a: b", "- a", "!!python/object:x", "&a *a", "null", "true", "1", "1e9", "0x10", "~", "---", "...", "a # b", '{"a":1}', '"},"x":{"y":"', "\\u0000", "\\n",
    "@type", "type.googleapis.com/x", '{"@type":"type.googleapis.com/envoy.config.cluster.v3.Cluster"}', "[1]", "\x1b[31m", "\x7f", "\u202eevil", "ä", "日本", "💥",
    "\ufeff", "a\u0000b", "\u2028",
    # Lua, shells, configuration languages
    "]]..os.execute('id')..[[", "--[[", "]]", "end os.exit()", "';os.exit()--", "; rm -rf /", "| id", "&& id", "> /tmp/x", "return 200;", "} server {", "proxy_pass http://x;",
    "#include x", "lua_need_request_body", "handle:logErr('x')", "\\'", '\\"', "' or '1'='1", "${{x}}", "<!--#exec-->", "$'\\x41'",
    # names of ours
    "default/shop/80", "ingress/weirkeeper/main", "a~b", "a/b", "a%2fb/c", "a//b", "keys", "no/host", "weir", "x-weir-key", "x-weir-host", "x-weir",
)  # fmt: skip
FRAMES = ("{}", "a{}b", "/{}")
RARER = ("{}/{}", "x-{}", "/x/{}/y", "{}.example")
LONG = ("a" * 300, "/" + "a" * 300, "%REQ(x)%" * 50, "." * 100, "/" * 100, "\\1" * 50, "*" * 50)


def corpus() -> list[str]:
    """All strings, each once."""
    return list(dict.fromkeys(_framed()))


def _framed() -> Iterator[str]:
    for frame in FRAMES:
        for seed in SEEDS:
            yield frame.replace("{}", seed)
    for number, seed in enumerate(SEEDS):
        yield RARER[number % len(RARER)].replace("{}", seed)
    yield from LONG

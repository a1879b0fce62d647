"""Who may pass, and how often: the rules at the head of a section. What cannot be done to the letter refuses everybody.

Users are no text of a configuration: a password is hashed as htpasswd's ``{SHA}`` does, and ``<route>:<user>:<hash>`` must be a key of ``users.map``.
"""

from collections.abc import Iterator, Sequence

from weirkeeper.model.filters import BasicAuth, ConnectionLimit, Deny, ExternalAuth, IpRules, LocalRateLimit
from weirkeeper.model.passwords import PasswordScheme, password_scheme
from weirkeeper.model.route import Route
from weirkeeper.model.text import Cidr
from weirkeeper.providers.haproxy.translate import cors
from weirkeeper.providers.haproxy.translate.asking import AskedOf, authorized
from weirkeeper.providers.haproxy.translate.bodies import bodies
from weirkeeper.providers.haproxy.translate.conditions import addresses
from weirkeeper.providers.haproxy.translate.items import digest
from weirkeeper.providers.haproxy.translate.quoting import Unspeakable, argument, formatted, key, word
from weirkeeper.providers.haproxy.translate.redirects import refused

SCHEMES: frozenset[PasswordScheme] = frozenset({"sha"})
"""The kinds of hashes that are compared. HAProxy could ask crypt(3) about others, which holds up its thread for as long as the hash is slow."""
REFUSED = 500
ADDRESS = "ip"
LONGEST_PERIOD = 2**31 - 1


def guards(route: Route, asked_of: AskedOf) -> Iterator[str]:
    """The rules of a route, in the order: address, rate, origin, size, password or whoever is asked."""
    yield from _addresses(route.ip_rules)
    yield from _limits(route)
    yield from cors.asked(route.cors)
    yield from bodies(route)
    for wished in route.auth:
        match wished:
            case Deny(status=status):
                yield refused(status)
            case BasicAuth():
                yield from _passwords(wished, realm_token(wished))
            case ExternalAuth():
                yield from authorized(wished, asked_of)
            case _:
                yield refused(REFUSED)


def users(route: Route) -> Iterator[str]:
    """The keys of ``users.map`` that let somebody pass this route."""
    for wished in route.auth:
        if isinstance(wished, BasicAuth):
            token = realm_token(wished)
            for user in wished.users:
                if password_scheme(user.hash) in SCHEMES:
                    try:
                        yield key(f"{token}:{user.user}:{user.hash.open().removeprefix('{SHA}')}")
                    except Unspeakable:
                        continue


def realm_token(wished: BasicAuth) -> str:
    """What tells the users of one list from those of another; it says nothing about them."""
    return digest(wished.realm, *(text for user in wished.users for text in (user.user, user.hash.digest)))


def _addresses(rules: IpRules | None) -> Iterator[str]:
    if rules is None:
        return
    if rules.deny:
        yield from addresses("denied", rules.deny)
        yield f"{refused(rules.status)} if denied"
    if rules.allow:
        yield from addresses("allowed", rules.allow)
        yield f"{refused(rules.status)} unless allowed"


def _limits(route: Route) -> Iterator[str]:
    """One table a section counts both; the narrower of two limits of a kind holds by itself."""
    rates = [one for one in route.rate_limits if isinstance(one, LocalRateLimit)]
    counts = [one for one in route.rate_limits if isinstance(one, ConnectionLimit)]
    known = all(one.key == ADDRESS for one in rates)
    if len(rates) + len(counts) < len(route.rate_limits) or len(rates) > 1 or not known:
        yield refused(REFUSED)
        return
    if not rates and not counts:
        return
    period = min(max(rates[0].per, 1), LONGEST_PERIOD) if rates else 1000
    stored = ",".join([*([f"http_req_rate({period}ms)"] if rates else []), *(["conn_cur"] if counts else [])])
    yield f"stick-table type ipv6 size 100k expire {max(period, 10_000)}ms store {stored}"
    ranges = tuple(dict.fromkeys(text for many in [*_excepted(rates), *_excepted(counts)] for text in many))
    if ranges:
        yield from addresses("unlimited", ranges)
    besides = " unless unlimited" if ranges else ""
    yield f"http-request track-sc0 src{besides}"
    for one in rates:
        yield f"{refused(one.status)} if {{ sc_http_req_rate(0) gt {max(one.amount, 0) + max(one.burst, 0)} }}"
    for two in counts:
        yield f"{refused(two.status)} if {{ sc_conn_cur(0) gt {max(two.amount, 0)} }}"


def _excepted(limits: Sequence[LocalRateLimit] | Sequence[ConnectionLimit]) -> list[tuple[Cidr, ...]]:
    return [one.except_from for one in limits]


def _passwords(wished: BasicAuth, token: str) -> Iterator[str]:
    yield "http-request set-var(txn.login) " + word(f"req.fhdr(authorization),word(2,{argument(' ')}),b64dec")
    yield "http-request set-var(txn.user) " + word(f"var(txn.login),field(1,{argument(':')})")
    yield "http-request set-var(txn.hash) " + word(f"var(txn.login),field(2,{argument(':')},0),sha1,base64")
    yield f"http-request set-var-fmt(txn.pass) '{token}:%[var(txn.user)]:%[var(txn.hash)]'"
    yield "http-request set-var(txn.known) 'var(txn.pass),map_str(users.map)'"
    challenge = word(formatted('Basic realm="' + (wished.realm or "Authentication required") + '"'))
    answer = f"http-request return status 401 hdr www-authenticate {challenge}"
    yield f"{answer} unless {{ req.fhdr_cnt(authorization) eq 1 }} {{ req.fhdr(authorization) -m reg -i '^basic +[a-z0-9+/]+=*$' }} {{ var(txn.known) -m found }}"

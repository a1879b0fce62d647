"""Users and passwords. Envoy compares SHA-1 hashes of htpasswd (``{SHA}``) and no others.

Users with another kind of hash are kept out before the translation, and told (``Limits.password_schemes``). One that comes here nonetheless cannot
log in; where nobody is left the route answers 500.
"""

from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.extensions.filters.http.basic_auth.v3 import basic_auth_pb2

from weirkeeper.model.filters import BasicAuth
from weirkeeper.model.passwords import PasswordScheme, password_scheme
from weirkeeper.providers.envoy.translate.newer import realm_of
from weirkeeper.providers.envoy.translate.values import packed

NOBODY = "-:{SHA}AAAAAAAAAAAAAAAAAAAAAAAAAAA="
"""A line that no password fits."""
SCHEMES: frozenset[PasswordScheme] = frozenset({"sha"})
"""What Envoy compares."""


def basic_auth_config(wished: BasicAuth) -> Any | None:
    """The filter's configuration for one route; ``None`` when no user's hash can be compared."""
    lines = {user.user: user.hash.open() for user in wished.users if password_scheme(user.hash) in SCHEMES}
    if not lines:
        return None
    text = "".join(f"{user}:{hashed}\n" for user, hashed in sorted(lines.items()))
    made = basic_auth_pb2.BasicAuthPerRoute(users=base_pb2.DataSource(inline_string=text))
    if wished.realm:
        realm_of(made, wished.realm)
    return packed(made)

"""Users and passwords. Envoy compares SHA-1 hashes of htpasswd (``{SHA}``) and no others.

A user with another kind of hash cannot log in, so the route fails closed for that user; where nobody is left the route answers 500.
``checks_password`` is what a finding may be made from.
"""

from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.extensions.filters.http.basic_auth.v3 import basic_auth_pb2

from weirkeeper.model.filters import BasicAuth
from weirkeeper.providers.envoy.translate.values import packed

NOBODY = "-:{SHA}AAAAAAAAAAAAAAAAAAAAAAAAAAA="
"""A line that no password fits."""
SHA_LENGTH = len(NOBODY) - len("-:")


def checks_password(hashed: str) -> bool:
    """Whether Envoy can compare a password with this hash."""
    return hashed.startswith("{SHA}") and len(hashed) == SHA_LENGTH


def basic_auth_config(wished: BasicAuth) -> Any | None:
    """The filter's configuration for one route; ``None`` when no user's hash can be compared."""
    lines = {user.user: user.hash.open() for user in wished.users if checks_password(user.hash.open())}
    if not lines:
        return None
    text = "".join(f"{user}:{hashed}\n" for user, hashed in sorted(lines.items()))
    return packed(basic_auth_pb2.BasicAuthPerRoute(users=base_pb2.DataSource(inline_string=text)))

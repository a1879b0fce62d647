"""Kinds of password hashes, as htpasswd and crypt(3) write them. In: a hash. Out: the name of its kind; the hash itself goes nowhere."""

import re
from typing import Literal

from weirkeeper.model.secret import Secret

PasswordScheme = Literal["sha", "ssha", "apr1", "md5-crypt", "bcrypt", "sha256-crypt", "sha512-crypt", "crypt", "plain"]

_BASE64 = "[A-Za-z0-9+/]"
_CRYPT = "[./0-9A-Za-z]"
_SCHEMES: tuple[tuple[PasswordScheme, re.Pattern[str]], ...] = (
    ("sha", re.compile(rf"\{{SHA\}}{_BASE64}{{27}}=", re.ASCII)),
    ("ssha", re.compile(rf"\{{SSHA\}}{_BASE64}+={{0,2}}", re.ASCII)),
    ("apr1", re.compile(rf"\$apr1\${_CRYPT}{{0,8}}\${_CRYPT}{{22}}", re.ASCII)),
    ("md5-crypt", re.compile(rf"\$1\${_CRYPT}{{0,8}}\${_CRYPT}{{22}}", re.ASCII)),
    ("bcrypt", re.compile(rf"\$2[abxy]?\$[0-9]{{2}}\${_CRYPT}+", re.ASCII)),
    ("sha256-crypt", re.compile(r"\$5\$[\x21-\x7e]+", re.ASCII)),
    ("sha512-crypt", re.compile(r"\$6\$[\x21-\x7e]+", re.ASCII)),
    ("crypt", re.compile(rf"{_CRYPT}{{13}}", re.ASCII)),
)


def password_scheme(hashed: Secret) -> PasswordScheme:
    """The kind of the hash. What looks like none of them is ``plain``: a password as it is, or a hash that was cut."""
    text = hashed.open()
    return next((name for name, form in _SCHEMES if form.fullmatch(text)), "plain")

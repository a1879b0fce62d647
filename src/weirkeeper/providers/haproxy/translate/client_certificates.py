"""Clients that show a certificate: the options of a listener, and the rules that hold for every request of such a connection.

Comes in: the validation of a listener, whether its authorities come with revocations, and the condition under which a request came by it. Goes out: options, and rules: what a
stranger says in our headers is removed, what the handshake showed is told. The rules check the handshake's result once more: nothing that a connection was let in for by another
name of its port can pass here.
"""

from collections.abc import Iterator

from weirkeeper.model.listener import ClientValidation
from weirkeeper.providers.haproxy.translate.items import bundle_file
from weirkeeper.providers.haproxy.translate.quoting import word
from weirkeeper.providers.haproxy.translate.redirects import refused

WITHOUT_RESUMPTION = "no-tls-tickets"
"""A resumed session is verified by nobody, and would carry what one name of a port asks for over to another (as CVE-2025-23419 in nginx). See ``skeleton``, too."""
HONEST = "http-request del-header ssl-client- -m beg"
_SHOWN, _VERIFIED = "{ ssl_c_used }", "{ ssl_c_verify 0 }"
_PEM = 'ssl_c_der,base64,regsub("(.{64})","\\1\n",g),url_enc'
_REFUSED = 400


def options(wished: ClientValidation, *, revoked: bool) -> Iterator[str]:
    """The options of a certificate's line, or of a whole port."""
    file = word(bundle_file(wished.trust))
    yield f"ca-file {file}"
    if revoked:
        yield f"crl-file {file}"
    yield f"verify {'required' if wished.mode == 'require' else 'optional'}"


def lenient(wished: ClientValidation) -> bool:
    """Whether connections must come about whatever certificate is shown. HAProxy can say so of a whole port only; the rules tell names apart."""
    return wished.mode == "allow-insecure-fallback"


def rules(wished: ClientValidation, came: str) -> Iterator[str]:
    """The rules for requests under the condition ``came``."""
    if wished.mode == "require" or wished.san_dns:
        yield f"{refused(_REFUSED)} if {came} !{_SHOWN}"
    if wished.san_dns:  # no sample of HAProxy's holds the alternative names
        yield f"{refused(_REFUSED)} if {came}"
    if not lenient(wished):
        yield f"{refused(_REFUSED)} if {came} {_SHOWN} !{_VERIFIED}"
    if wished.forward_details:
        yield from _told(wished, f"if {came} {_SHOWN} {_VERIFIED}")


def _told(wished: ClientValidation, condition: str) -> Iterator[str]:
    yield f"http-request set-header ssl-client-verify SUCCESS {condition}"
    for name, fetch in (("subject", "ssl_c_s_dn"), ("issuer", "ssl_c_i_dn")):
        text = word(f'%[{fetch}("",0,rfc2253)]')
        yield f"http-request set-header ssl-client-{name}-dn {text} {condition}"
    if wished.forward_certificate:
        yield f"http-request set-var(txn.certificate) {word(_PEM)} {condition}"
        pem = "-----BEGIN%%20CERTIFICATE-----%%0A%[var(txn.certificate)]%%0A-----END%%20CERTIFICATE-----%%0A"
        yield f"http-request set-header ssl-client-cert {word(pem)} {condition}"

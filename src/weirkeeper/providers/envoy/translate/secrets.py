"""Certificates and trust bundles as Envoy's secrets.

``serves`` says for which server names a certificate answers; the distributor re-labels the bytes for such a name by appending the field
``name`` once more (the last one wins in protobuf).
"""

from envoy.config.core.v3 import base_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2

from weirkeeper.model.certificate import Certificate, TrustBundle
from weirkeeper.providers.envoy.names import bundle_name, certificate_name


def certificate_secret(wished: Certificate) -> bytes:
    """A chain with its key. The one place where a private key is opened."""
    tls = common_pb2.TlsCertificate(
        certificate_chain=base_pb2.DataSource(inline_string=wished.chain),
        private_key=base_pb2.DataSource(inline_string=wished.key.open()),
    )
    made = secret_pb2.Secret(name=certificate_name(wished.id), tls_certificate=tls)
    body: bytes = made.SerializeToString(deterministic=True)
    return body


def bundle_secret(wished: TrustBundle) -> bytes:
    """Authorities and revocations."""
    context = common_pb2.CertificateValidationContext(trusted_ca=base_pb2.DataSource(inline_string=wished.certificates))
    if wished.revocations:
        context.crl.inline_string = wished.revocations
    body: bytes = secret_pb2.Secret(name=bundle_name(wished.id), validation_context=context).SerializeToString(
        deterministic=True
    )
    return body

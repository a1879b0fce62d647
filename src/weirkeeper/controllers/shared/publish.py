"""Which addresses the statuses of a class say: chosen by the class's owner, else by whoever runs the program.

Comes in: the class's choice and the program's. Goes out: ``Published`` or nothing (its instances' own), with findings on the class for what cannot be used: a text that is neither an IP
address nor a host name, several choices at once, a Service that is not there.
"""

from ipaddress import ip_address

from weirkeeper.controllers.base import Inputs
from weirkeeper.controllers.shared.parameters import Publish
from weirkeeper.controllers.shared.report import error, warning
from weirkeeper.flow import Read
from weirkeeper.kube.types import Service
from weirkeeper.model.address import PublicAddress, Published
from weirkeeper.model.finding import Effect, Finding, Reason
from weirkeeper.model.ids import Ref
from weirkeeper.model.origin import Origin
from weirkeeper.model.text import Hostname, IpAddress, Name, Refused, parse, shown


def class_published(
    read: Read, inputs: Inputs, choice: Publish, origin: Origin, default: Published | None
) -> tuple[Published | None, tuple[Finding, ...]]:
    """What a class publishes, and what is wrong with that."""
    published, findings = _chosen(choice, origin, default)
    service = published.service if published is not None else None
    if service is not None and not read.contains(inputs.of(Service), service):
        why = f"its statuses are to say the addresses of the Service {shown(service.key)}, which is not there"
        remedy = "create the Service, or choose other addresses"
        return published, (*findings, error(Reason.SERVICE_NOT_FOUND, origin, why, remedy, Effect.DEGRADED))
    return published, findings


def _chosen(choice: Publish, origin: Origin, default: Published | None) -> tuple[Published | None, tuple[Finding, ...]]:
    if choice == Publish():
        return default, ()
    findings = list[Finding]()
    if sum((choice.instances, choice.service is not None, bool(choice.addresses))) > 1:
        findings.append(_wrong(origin, "publish has several choices; a Service counts first, then addresses"))
    if choice.service is not None:
        wished = choice.service
        ref = Ref(cluster=origin.ref.cluster, kind="Service", namespace=wished.namespace, name=wished.name)
        return Published(service=ref), tuple(findings)
    addresses = [public_address(text) for text in choice.addresses]
    refused = [text for text, address in zip(choice.addresses, addresses, strict=True) if address is None]
    if refused:
        findings.append(_wrong(origin, f"publish.addresses: {shown(refused[0])} is neither an IP address nor a host"))
    kept = tuple(address for address in addresses if address is not None)
    return Published(addresses=kept) if kept else None, tuple(findings)


def public_address(text: str) -> PublicAddress | None:
    """An IP address, else a host name without a wildcard, else nothing."""
    try:
        ip = parse(IpAddress, str(ip_address(text)))
    except ValueError:
        host = parse(Hostname, text)
        wrong = isinstance(host, Refused) or "*" in host or "." not in host
        return None if isinstance(host, Refused) or wrong else PublicAddress(hostname=host)
    return None if isinstance(ip, Refused) else PublicAddress(ip=ip)


def _wrong(origin: Origin, why: str) -> Finding:
    return warning(Reason.INVALID_CLASS, origin, f"spec.{why}", "correct the parameters of the class")


def published_from(texts: tuple[str, ...]) -> Published | Refused | None:
    """What the program's setting says: ``instances`` (or nothing), ``service:NAMESPACE/NAME``, or addresses and host names."""
    words = [word.strip() for word in texts if word.strip()]
    if words in ([], ["instances"]):
        return None
    if len(words) == 1 and words[0].startswith("service:"):
        namespace, slash, name = words[0].removeprefix("service:").partition("/")
        typed = (parse(Name, namespace), parse(Name, name))
        if not slash or any(isinstance(one, Refused) for one in typed):
            return Refused(f"{shown(words[0])} is not of the form service:NAMESPACE/NAME")
        return Published(service=Ref(kind="Service", namespace=namespace, name=name))
    addresses = [public_address(word) for word in words]
    wrong = [word for word, address in zip(words, addresses, strict=True) if address is None]
    if wrong:
        return Refused(f"{shown(wrong[0])} is neither an IP address nor a host name")
    return Published(addresses=tuple(address for address in addresses if address is not None))

"""A real kube-apiserver with its etcd, on loopback, for tests and benchmarks that need no nodes. About three seconds to start.

In: whether RBAC holds, whether writes are recorded, extra arguments. Out: an `ApiServer` with its URL, its authority, and kubeconfigs for its users. The binaries
come from `KUBEBUILDER_ASSETS`, as in other projects, or from the cache of the lab beside this repository. No controllers run: nothing makes default service
accounts, endpoints or garbage collection. Nothing here judges what the server answers.
"""

import base64
import contextlib
import datetime
import json
import os
import secrets
import signal
import ssl
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from weirkeeper.testing.certificates import Authority, PemPair, key_pem
from weirkeeper.testing.eventually import poll_until
from weirkeeper.testing.ports import Ports

LAB = Path.home() / ".cache" / "kubelab" / "bin"
MASTERS = "system:masters"
USERS: Mapping[str, tuple[str, ...]] = {"admin": (MASTERS,), "user": ()}
LOG_TAIL = 4000
STARTING = 60.0

_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "userGroups": [MASTERS], "verbs": ["get", "list", "watch"]},
        {"level": "None", "users": ["system:apiserver"]},
        {"level": "RequestResponse", "verbs": ["create", "update", "patch", "delete", "deletecollection"]},
        {"level": "Metadata"},
    ],
}


class ApiServerEnded(RuntimeError):
    """etcd or kube-apiserver ended or did not become ready; the message holds the end of the log."""


def binary(name: str) -> Path:
    """The path of `etcd`, `kube-apiserver` or `kubectl`; raises `FileNotFoundError` with what to set."""
    named = os.environ.get("KUBEBUILDER_ASSETS") or os.environ.get("KUBELAB_BIN")
    found = (Path(named) if named else LAB) / name
    if not found.exists():
        raise FileNotFoundError(
            f"{found} is not there; set KUBEBUILDER_ASSETS to a folder with etcd and kube-apiserver"
        )
    return found


class ApiServer:
    """etcd and a kube-apiserver. `users` have tokens; a certificate can be had for any user and groups (`pair`)."""

    def __init__(
        self,
        folder: Path,
        ports: Ports,
        *,
        rbac: bool = True,
        audit: bool = False,
        users: Mapping[str, Sequence[str]] = USERS,
        arguments: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.port, self._etcd_port, self._peer_port = ports.take(), ports.take(), ports.take()
        self.url = f"https://127.0.0.1:{self.port}"
        self.authority = Authority("api server")
        self.tokens = {name: secrets.token_hex(16) for name in users}
        self._rbac, self._audit, self._arguments = rbac, audit, tuple(arguments)
        self._etcd: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._write_files(users)

    @property
    def pid(self) -> int:
        """The process id of the kube-apiserver."""
        assert self._server is not None, "it runs"
        return self._server.pid

    def start(self) -> Self:
        """Start etcd where it does not run, then the server; returns when it is ready."""
        if self._etcd is None:
            self._etcd = self._spawned("etcd", self._etcd_arguments())
        self._server = self._spawned("kube-apiserver", self._server_arguments())
        poll_until(self._ready, STARTING, what="the API server is ready", pause=0.05)
        return self

    def stop(self, *, kill: bool = False) -> None:
        """End the server and keep etcd; `start` brings it back on the same port with the same objects."""
        _end(self._server, kill=kill)
        self._server = None

    def pause(self) -> None:
        """Freeze the server: connections stay open and nothing is answered. It stands still when this returns, all threads of it."""
        os.kill(self.pid, signal.SIGSTOP)
        poll_until(lambda: _states(self.pid) == {"T"}, STARTING, what="the API server stands still")

    def resume(self) -> None:
        """Let a frozen server go on."""
        os.kill(self.pid, signal.SIGCONT)

    def compact(self, revision: int) -> None:
        """Let etcd forget what was before this revision (a resourceVersion): lists and watches from there are 410 where no cache helps."""
        body = json.dumps({"revision": str(revision), "physical": True}).encode()
        asked = urllib.request.Request(f"http://127.0.0.1:{self._etcd_port}/v3/kv/compaction", data=body)
        with urllib.request.urlopen(asked, timeout=10) as answer:
            answer.read()

    def close(self) -> None:
        """End both."""
        _end(self._server, kill=True)
        _end(self._etcd, kill=True)
        self._server = self._etcd = None

    def pair(self, user: str, *groups: str) -> PemPair:
        """A client certificate for any user."""
        return client_pair(self.authority, user, groups)

    def kubeconfig(
        self, user: str = "admin", *, auth: Mapping[str, Any] | None = None, namespace: str = "default"
    ) -> str:
        """A kubeconfig as text: by the user's token, or by what `auth` says in its place."""
        return json.dumps({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "real", "cluster": {
                "server": self.url, "certificate-authority-data": _base64(self.authority.pem()),
            }}],
            "users": [{"name": user, "user": dict(auth) if auth is not None else {"token": self.tokens[user]}}],
            "contexts": [{"name": "real", "context": {"cluster": "real", "user": user, "namespace": namespace}}],
            "current-context": "real",
        }, indent=1)  # fmt: skip

    def kubeconfig_file(self, user: str = "admin") -> Path:
        """The kubeconfig as a file, for kubectl and for programs."""
        path = self.folder / f"{user}.kubeconfig"
        path.write_text(self.kubeconfig(user))
        return path

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """What kubectl prints as admin; raises `CalledProcessError` where it fails."""
        command = [str(binary("kubectl")), "--kubeconfig", str(self.kubeconfig_file()), *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=180, check=True).stdout

    def audited(self) -> list[dict[str, Any]]:
        """Every recorded request so far, oldest first (`audit=True`)."""
        lines = (self.folder / "audit.log").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def log(self, name: str = "kube-apiserver") -> str:
        """The end of a process's log."""
        return (self.folder / f"{name}.log").read_text("utf-8", "replace")[-LOG_TAIL:]

    def _write_files(self, users: Mapping[str, Sequence[str]]) -> None:
        serving = self.authority.issue("127.0.0.1", "localhost", "kubernetes.default.svc")
        rows = (f'{self.tokens[name]},{name},{name},"{",".join(groups)}"' for name, groups in users.items())
        key = ec.generate_private_key(ec.SECP256R1())
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        for name, content in {
            "ca.crt": self.authority.pem(), "serving.crt": serving.certificate, "serving.key": serving.key,
            "accounts.key": key_pem(key), "accounts.pub": public, "tokens.csv": "\n".join(rows).encode(),
            "audit.json": json.dumps(_AUDIT_POLICY).encode(),
        }.items():  # fmt: skip
            (self.folder / name).write_bytes(content)

    def _etcd_arguments(self) -> list[str]:
        client, peer = f"http://127.0.0.1:{self._etcd_port}", f"http://127.0.0.1:{self._peer_port}"
        return [
            f"--data-dir={self.folder}/etcd", f"--listen-client-urls={client}", f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync", "--log-level=warn",
        ]  # fmt: skip

    def _server_arguments(self) -> list[str]:
        at = self.folder
        audit = [
            f"--audit-policy-file={at}/audit.json",
            f"--audit-log-path={at}/audit.log",
            "--audit-log-mode=blocking",
        ]
        return [
            f"--etcd-servers=http://127.0.0.1:{self._etcd_port}", f"--secure-port={self.port}", "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none", f"--cert-dir={at}",
            f"--tls-cert-file={at}/serving.crt", f"--tls-private-key-file={at}/serving.key", f"--client-ca-file={at}/ca.crt",
            f"--token-auth-file={at}/tokens.csv", f"--authorization-mode={'RBAC' if self._rbac else 'AlwaysAllow'}",
            "--service-account-issuer=https://kubernetes.default.svc", f"--service-account-key-file={at}/accounts.pub",
            f"--service-account-signing-key-file={at}/accounts.key", "--service-cluster-ip-range=10.96.0.0/16",
            "--disable-admission-plugins=ServiceAccount", "--allow-privileged=true", "--shutdown-delay-duration=0s",
            *(audit if self._audit else ()), *self._arguments,
        ]  # fmt: skip

    def _spawned(self, name: str, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [binary(name), *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )

    def _ready(self) -> bool:
        for name, process in (("etcd", self._etcd), ("kube-apiserver", self._server)):
            if process is not None and process.poll() is not None:
                raise ApiServerEnded(f"{name} ended with {process.returncode}:\n{self.log(name)}")
        asked = urllib.request.Request(f"{self.url}/readyz", headers={"Authorization": f"Bearer {self._any_token()}"})
        trust = ssl.create_default_context(cadata=self.authority.pem().decode())
        try:
            with urllib.request.urlopen(asked, timeout=2, context=trust) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _any_token(self) -> str:
        return next(iter(self.tokens.values()))


@contextlib.contextmanager
def api_server(
    *, rbac: bool = True, audit: bool = False, users: Mapping[str, Sequence[str]] = USERS, arguments: Sequence[str] = ()
) -> Iterator[ApiServer]:
    """A server that is ready, while the block runs; its files go with it."""
    with tempfile.TemporaryDirectory(prefix="weir-api-", ignore_cleanup_errors=True) as folder, Ports() as ports:
        server = ApiServer(Path(folder), ports, rbac=rbac, audit=audit, users=users, arguments=arguments)
        try:
            yield server.start()
        finally:
            server.close()


def client_pair(authority: Authority, user: str, groups: Sequence[str]) -> PemPair:
    """A certificate that names a user and its groups as Kubernetes reads them: common name and organisations."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    subject = x509.Name([*names, x509.NameAttribute(NameOID.COMMON_NAME, user)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(authority.name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    return PemPair(certificate=made.public_bytes(serialization.Encoding.PEM), key=key_pem(key))


def _end(process: subprocess.Popen[bytes] | None, *, kill: bool) -> None:
    if process is None:
        return
    process.send_signal(signal.SIGCONT)
    process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _states(pid: int) -> set[str]:
    """The states of a process's threads (proc(5))."""
    tables = [task.read_text() for task in Path(f"/proc/{pid}/task").glob("*/stat")]
    return {table.rpartition(")")[2].split()[0] for table in tables}

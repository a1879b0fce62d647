"""`python hooked.py ENVOY ARGUMENT ...`: an Envoy in the lab, stopped as a kubelet stops it whose `preStop` hook asks the sidecar's `/drained`.

The lab waits one second for a hook of HTTP, a kubelet as long as the pod's grace time. So SIGTERM is held back here until the sidecar has answered. Without a
sidecar, or when it refuses, Envoy is stopped at once, as there.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

LONGEST = 600.0
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def main() -> None:
    """Run Envoy until it is stopped."""
    stopped = False

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True

    signal.signal(signal.SIGTERM, stop)
    # as a container runtime does it: whoever runs in the container owns its standard output, and may open it by its path
    output = subprocess.Popen(["cat"], stdin=subprocess.PIPE).stdin if os.getuid() else None
    prctl = ctypes.CDLL(None).prctl
    envoy = subprocess.Popen(
        sys.argv[1:], stdout=output, start_new_session=True,
        preexec_fn=lambda: prctl(DIE_WITH_PARENT, signal.SIGKILL),  # noqa: PLW1509 - no threads here
    )
    while envoy.poll() is None and not stopped:
        with contextlib.suppress(subprocess.TimeoutExpired):
            envoy.wait(0.2)
    if stopped:
        print(f"{time.monotonic():.3f} stopped", file=sys.stderr, flush=True)
        try:
            urllib.request.urlopen(f"http://{listens()}/drained", timeout=LONGEST).read()
        except OSError as error:
            print(f"its sidecar does not answer: {error}", file=sys.stderr, flush=True)
        print(f"{time.monotonic():.3f} ended, with {envoy.poll()}", file=sys.stderr, flush=True)
        envoy.terminate()
    sys.exit(envoy.wait())


def listens() -> str:
    """Where the sidecar of this pod listens. `OSError` where there is none."""
    ours = f"HOSTNAME={os.environ['HOSTNAME']}".encode()
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if not process.name.isdigit() or ours not in (process / "environ").read_bytes().split(b"\0"):
                continue
            for word in (process / "cmdline").read_bytes().decode().split("\0"):
                if word.startswith("--listen="):
                    return word.removeprefix("--listen=")
    raise OSError("there is no sidecar")


if __name__ == "__main__":
    main()

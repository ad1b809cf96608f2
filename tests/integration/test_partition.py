"""The store cut off from the running service: allows end within the lease, and no signal is lost."""

from __future__ import annotations

import contextlib
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx

from pdp.v1 import decision_pb2 as wire
from pdp.v1 import policy_decision_pb2 as rpc
from tests.attributes.support import running
from tests.client.live import READ
from tests.integration.running import Service, serving
from tests.signals.support import DEVICE, EXECUTABLE, POLICIES, signals_text
from tests.signals.transmitter import CAEP, Transmitter

LEASE = 2.0
# Between looking at the lease and stamping the decision a busy machine may do something else.
SLACK = 1.0
PATIENCE = 30.0
COMPLIANCE = CAEP + "device-compliance-change"


class Proxy:
    """Passes bytes on between clients and a server, until it is told to swallow them: no error, no end, no answer."""

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._passing = threading.Event()
        self._passing.set()
        self._ends: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def partition(self) -> None:
        self._passing.clear()

    def heal(self) -> None:
        """Pass on again. Connections from before are gone, as they are where a network forgot them."""
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._ends.clear()
        self._passing.set()

    def close(self) -> None:
        self._listener.close()
        self.heal()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                self._ends += [client, server]
                for one, other in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if self._passing.is_set():
                    target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Asking:
    """Asks one question over and over, and remembers when an allow was last decided."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._ended = threading.Event()
        self.allowed: bool | None = None
        self.last_allow = 0.0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()

    def until(self, *, allowed: bool) -> None:
        end = time.monotonic() + PATIENCE
        while self.allowed is not allowed:
            assert time.monotonic() < end, f"never {'allowed' if allowed else 'denied'}"
            time.sleep(0.01)

    def goes_on(self) -> None:
        """Wait until what it asks about is answered from memory again."""
        settled = time.time() + LEASE / 4
        end = time.monotonic() + PATIENCE
        while self.last_allow < settled:
            assert time.monotonic() < end, "nothing is allowed"
            time.sleep(0.01)

    def _run(self) -> None:
        message = READ.supporting(("mask",)).message()
        with grpc.insecure_channel(self._address) as channel:
            ask = channel.unary_unary(
                "/pdp.v1.PolicyDecisionService/Evaluate",
                rpc.EvaluateRequest.SerializeToString,
                rpc.EvaluateResponse.FromString,
            )
            while not self._ended.wait(0.005):
                decision = ask(message, timeout=PATIENCE).decision
                self.allowed = decision.effect == wire.EFFECT_ALLOW
                if self.allowed:
                    self.last_allow = decision.decided_at.ToNanoseconds() / 1e9


def push(service: Service, token: bytes) -> httpx.Response:
    headers = {"content-type": "application/secevent+jwt"}
    return httpx.post(f"{service.http}/signals/push", content=token, headers=headers, timeout=PATIENCE)


def push_until_accepted(service: Service, token: bytes) -> None:
    """Send a token again as RFC 8935 transmitters do, until it is taken."""
    end = time.monotonic() + PATIENCE
    while (answer := push(service, token)).status_code == 503:
        assert time.monotonic() < end, answer.text
        time.sleep(0.1)
    assert answer.status_code == 202


@contextlib.contextmanager
def deployed(folder: Path, transmitter: Transmitter) -> Iterator[tuple[Service, Proxy]]:
    shutil.copytree(POLICIES, folder / "policies")
    (folder / "policies" / "signals.yaml").write_text(signals_text(transmitter))
    settings = (f"redis.lease={LEASE}", "redis.silence=10", "redis.fetch_timeout=0.2", "signals.store_timeout=0.5")
    flags = [part for setting in settings for part in ("--set", setting)]
    with running(EXECUTABLE, tcp=True) as store:
        proxy = Proxy(store.port)
        try:
            with serving("--sample", "--policies", str(folder / "policies"), "--redis", proxy.url, *flags) as service:
                yield service, proxy
        finally:
            proxy.close()


def status(transmitter: Transmitter, at: float, *, compliant: bool) -> bytes:
    word = "compliant" if compliant else "not-compliant"
    return transmitter.token(COMPLIANCE, DEVICE, {"current_status": word, "event_timestamp": at})


def test_cut_off_from_the_store_allows_end_with_the_lease_and_signals_are_kept_by_who_sent_them(
    tmp_path: Path,
) -> None:
    with Transmitter() as transmitter, deployed(tmp_path, transmitter) as (service, proxy):
        asking = Asking(service.grpc)
        try:
            asking.until(allowed=True)
            # Ahead of the sample's own word on the device.
            at = time.time() + 2
            push_until_accepted(service, status(transmitter, at, compliant=True))
            asking.goes_on()
            proxy.partition()
            cut = time.time()
            revocation = status(transmitter, at + 1, compliant=False)
            refused = push(service, revocation)
            asking.until(allowed=False)
            assert cut < asking.last_allow <= cut + LEASE + SLACK
            assert (refused.status_code, refused.json()["err"]) == (503, "access_denied")
            assert int(refused.headers["retry-after"]) > 0
            proxy.heal()
            # Nothing was written, so access is back, until the transmitter sends its signal again.
            asking.until(allowed=True)
            push_until_accepted(service, revocation)
            asking.until(allowed=False)
            # Once taken it stays so: nothing of it is repeated by what was swallowed.
            healed = asking.last_allow
            push_until_accepted(service, revocation)
            assert asking.last_allow == healed
        finally:
            asking.end()

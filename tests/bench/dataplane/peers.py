"""The servers to compare with: Cerbos, and whatever is named in ``PEERS``."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import tempfile
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import grpc
import httpx
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from tests.bench.dataplane.load import Target, WrongAnswerError
from tests.bench.dataplane.ours import BATCH, ROOT
from tests.bench.dataplane.server import Server, framed, free_port

CERBOS: Final = "0.51.0"
PEERS: Final = ROOT / "build" / "peers"
_POLICIES: Final = Path(__file__).parent / "cerbos"
_METHOD: Final = "cerbos.svc.v1.CerbosService.CheckResources"
_PATH: Final = "/cerbos.svc.v1.CerbosService/CheckResources"


def cerbos_binary() -> Path:
    """Give Cerbos's own binary, installed by npm the first time."""
    if not (found := _installed()):
        PEERS.mkdir(parents=True, exist_ok=True)
        npm = shutil.which("npm")
        if npm is None:
            raise FileNotFoundError("npm, which installs Cerbos, is not on the PATH; --no-cerbos leaves Cerbos out")
        command = [npm, "install", "--prefix", ".", "--no-audit", "--no-fund", "--silent", f"cerbos@{CERBOS}"]
        subprocess.run(command, cwd=PEERS, check=True)
        found = _installed()
    return found[0]


def _installed() -> list[Path]:
    """Find the binary in the package that npm chose for this platform."""
    return [path for path in PEERS.glob("node_modules/@cerbos/cerbos-*/cerbos-*") if path.is_file()]


@contextlib.contextmanager
def cerbos() -> Iterator[Server]:
    """Run Cerbos on the same rule, as it is shipped: no audit log. Its telemetry to its makers is off."""
    binary = cerbos_binary()
    http, rpc = (f"127.0.0.1:{free_port()}" for _ in range(2))
    settings = {
        "server": {"httpListenAddr": http, "grpcListenAddr": rpc},
        "storage": {"driver": "disk", "disk": {"directory": str(_POLICIES)}},
        "telemetry": {"disabled": True},
    }
    with tempfile.TemporaryDirectory(prefix="pdp-cerbos-") as folder:
        file = Path(folder, "config.yaml")
        file.write_text(json.dumps(settings))
        started = time.perf_counter()
        with Path(folder, "log").open("w") as log:
            command = [str(binary), "server", f"--config={file}", "--log-level=error"]
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _await_health(f"http://{http}/_cerbos/health")
            ready = time.perf_counter() - started
            yield Server("Cerbos", process.pid, _cerbos_targets(rpc), ready)
        finally:
            process.terminate()
            process.wait(10)


def _await_health(url: str) -> None:
    for _ in range(400):
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(url).is_success:
                return
        time.sleep(0.025)
    raise WrongAnswerError(f"{url} does not answer")


def _cerbos_targets(address: str) -> dict[str, Target]:
    """Make the calls from the messages that the server itself describes by reflection."""
    with grpc.insecure_channel(address) as channel:
        method = DescriptorPool(ProtoReflectionDescriptorDatabase(channel)).FindMethodByName(_METHOD)
        asked, answered = map(message_factory.GetMessageClass, (method.input_type, method.output_type))
        targets = {}
        for kind, count in (("unary", 1), ("batch", BATCH)):
            message = json_format.ParseDict(_question(count), asked()).SerializeToString()
            answer = channel.unary_unary(_PATH)(message, timeout=5)
            _require_allows(answered.FromString(answer), count)
            targets[kind] = Target(f"http://{address}{_PATH}", framed(message), len(framed(answer)), count)
        return targets


def _question(count: int) -> dict[str, Any]:
    attributes = {"device_compliant": True, "risk": 10, "region": "eu"}
    resources = [
        {"actions": ["read"], "resource": {"kind": "customer", "id": f"c-{number}", "attr": {"region": "eu"}}}
        for number in range(1, count + 1)
    ]
    return {"principal": {"id": "alice", "roles": ["agent"], "attr": attributes}, "resources": resources}


def _require_allows(answer: Message, count: int) -> None:
    results = json_format.MessageToDict(answer)["results"]
    if [result["actions"] for result in results] != [{"read": "EFFECT_ALLOW"}] * count:
        raise WrongAnswerError(f"Cerbos: {results}")


def named_peers(text: str) -> list[Server]:
    """Read ``PEERS``: ``name=url=bodyfile``, separated by spaces.

    A body that starts with ``{`` is JSON over HTTP, any other a framed gRPC message.

    Raises:
        WrongAnswerError: one of them does not answer its body.
    """
    return [_peer(*part.split("=", 1)) for part in text.split()]


def _peer(name: str, rest: str) -> Server:
    url, _, file = rest.rpartition("=")
    body = Path(file).read_bytes()
    if body.startswith(b"{"):
        headers = {"content-type": "application/json"}
        answer = httpx.post(url, content=body, headers=headers)
        if not answer.is_success:
            raise WrongAnswerError(f"{name}: {answer.status_code} {answer.text}")
        return Server(name, None, {"unary": Target(url, body, len(answer.content), headers=headers)})
    place = urllib.parse.urlsplit(url)
    with grpc.insecure_channel(place.netloc) as channel:
        reply = channel.unary_unary(place.path)(body[5:], timeout=5)
    return Server(name, None, {"unary": Target(url, body, len(framed(reply)))})

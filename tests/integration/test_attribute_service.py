"""A feed over mTLS: known by its SPIFFE id, it changes what the next decision rests on."""

from __future__ import annotations

import contextlib
import queue
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.struct_pb2 import Value

from pdp.client import Question
from pdp.v1 import attribute_service_pb2 as feed
from pdp.v1 import decision_pb2 as wire
from pdp.v1 import policy_decision_pb2 as rpc
from pdp.v1 import watch_pb2 as watch
from tests.integration.running import ROOT, Service, serving
from tests.server.pki import Authority, Pair

MDM, PEP = "spiffe://example.org/mdm", "spiffe://example.org/pep"
LAPTOP = feed.EntityKey(entity=wire.ENTITY_DEVICE, id="d-1")


def question() -> bytes:
    """Ask whether alice may read a customer at her laptop."""
    asked = Question(("user", "alice"), "read", ("customer", "c-1"), "s-1", "d-1", "support")
    return asked.supporting(("mask", "notify", "watermark", "filter", "review")).message().SerializeToString()


class Secured:
    """A service that asks for client certificates, and callers that have them."""

    def __init__(self, service: Service, authority: Authority) -> None:
        self._service = service
        self._authority = authority
        self._pairs: dict[str, Pair] = {}

    def channel(self, caller: str) -> grpc.Channel:
        pair = self._pairs.setdefault(caller, self._authority.issue(caller.rpartition("/")[2], uris=(caller,)))
        credentials = grpc.ssl_channel_credentials(self._authority.path.read_bytes(), *pair.pem)
        return grpc.secure_channel(self._service.grpc, credentials)

    def call(self, method: str, request: bytes, caller: str) -> bytes:
        with self.channel(caller) as channel:
            return channel.unary_unary(f"/pdp.v1.{method}")(request, timeout=10)

    def patch(self, caller: str, *, compliant: bool) -> None:
        values = {"compliant": Value(bool_value=compliant)}
        self.call(
            "AttributeService/Patch", feed.PatchRequest(key=LAPTOP, attributes=values).SerializeToString(), caller
        )

    def decide(self) -> wire.Decision:
        answer = self.call("PolicyDecisionService/Evaluate", question(), PEP)
        return rpc.EvaluateResponse.FromString(answer).decision


@pytest.fixture(scope="module")
def secured(transport: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder: Path = tmp_path_factory.mktemp("feeds")
    authority = Authority(folder, "feeds")
    pair = authority.issue("server", uris=("spiffe://example.org/pdp",))
    config = folder / "pdp.toml"
    config.write_text(
        f'[tls]\ncertificate = "{pair.certificate}"\nprivate_key = "{pair.key}"\nclient_ca = "{authority.path}"\n'
        f'[server]\ncallers = ["{PEP}"]\n[attribute_service.callers]\n"{MDM}" = ["device"]\n'
    )
    with serving("--sample", "--server", transport, "--config", str(config)) as service:
        yield Secured(service, authority)


def test_what_a_feed_says_decides_at_once(secured: Secured) -> None:
    assert secured.decide().effect == wire.EFFECT_ALLOW
    secured.patch(MDM, compliant=False)
    denied = secured.decide()
    assert denied.effect == wire.EFFECT_DENY
    assert [(it.code, it.about) for it in denied.reasons] == [("DENIED_BY_RULE", "posture-noncompliant")]
    secured.patch(MDM, compliant=True)
    assert secured.decide().effect == wire.EFFECT_ALLOW


def test_an_enforcement_point_is_no_feed_and_a_feed_no_enforcement_point(secured: Secured) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        secured.patch(PEP, compliant=True)
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    with pytest.raises(grpc.RpcError) as refused:
        secured.call("PolicyDecisionService/Evaluate", question(), MDM)
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED


def documented() -> dict[str, Callable[..., Any]]:
    """The functions that docs/api.md shows, as they stand there."""
    functions: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs/api.md").read_text(), re.MULTILINE | re.DOTALL):
        exec(block, functions)  # noqa: S102 - our own documentation
    return functions


def told(answer: watch.WatchedDecision) -> str:
    """An answer as the documentation prints it."""
    cause = watch.WatchCause.Name(answer.cause).removeprefix("WATCH_CAUSE_")
    entity = wire.Entity.Name(answer.entity).removeprefix("ENTITY_").lower()
    why = f"{cause} of the {entity}" if answer.entity else cause
    reasons = ", ".join(f"{it.code}({it.about})" for it in answer.decision.reasons)
    return f"{why:<25} {wire.Effect.Name(answer.decision.effect):<13} {reasons}"


def test_the_documented_calls_do_what_is_said_of_them(secured: Secured) -> None:
    functions = documented()
    answers: queue.Queue[watch.WatchedDecision | None] = queue.Queue()
    request = rpc.EvaluateRequest.FromString(question())
    with secured.channel(PEP) as channel, secured.channel(MDM) as feeding:

        def follow() -> None:
            with contextlib.suppress(ValueError, grpc.RpcError):  # the channel is closed at the end
                for answer in functions["watching"](channel, request):
                    answers.put(answer)

        thread = threading.Thread(target=follow)
        thread.start()
        assert answers.get(timeout=20) is None
        first = told(answers.get(timeout=20))
        before = functions["report"](feeding, "d-1", compliant=False, established_at=int(time.time()) + 1)
        second = told(answers.get(timeout=20))
        after = functions["report"](feeding, "d-1", compliant=True, established_at=int(time.time()) + 2)
        third = told(answers.get(timeout=20))
    thread.join(20)
    assert not thread.is_alive()
    assert after > before
    assert third.replace("ATTRIBUTES of the device ", "REGISTERED".ljust(25)) == first
    assert f"```\n{first}\n{second}\n```" in (ROOT / "docs/api.md").read_text()

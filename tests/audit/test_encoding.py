"""Records as they are written: identifiers, odd values, clocks, sizes."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.audit import AuditKeys, DecisionLog, IdentifierPolicy, KeyFileError, Treatment
from pdp.audit.clock import Stamp
from pdp.audit.decoding import PlainDecoder
from pdp.audit.encoding import Record, RecordEncoder
from pdp.audit.errors import FormatError
from pdp.audit.framing import INLINE, MAX_PAYLOAD
from pdp.audit.identifiers import Identifiers
from pdp.audit.keys import generate_secret, generate_signing, load_keys
from pdp.audit.segment import list_segments
from pdp.audit.verify import verify
from pdp.signing.keyfiles import load_verifier, read_secret
from pdp.signing.pseudonyms import PseudonymKey
from tests.audit.support import decision, fill, read_records, settings

CLEAR = IdentifierPolicy(*[Treatment.CLEAR] * 5)
TIME = "2026-01-31T08:00:00.000001Z"


def round_trip(record: Record, policy: IdentifierPolicy = CLEAR) -> tuple[int, dict[str, Any]]:
    """`(tag, record read back)`."""
    encoder = RecordEncoder("w0", Identifiers(policy, PseudonymKey("1", b"k" * 32)))
    tag, stored, leaf_input, definition = encoder.encode(record, 7, TIME)
    decoder = PlainDecoder()
    if definition is not None:
        decoder.define(7, definition)
    assert decoder.leaf_input(tag, 7, stored) == leaf_input
    return tag, json.loads(decoder.text(tag, 7, stored))


texts = st.one_of(st.none(), st.text(max_size=30))


@given(
    st.fixed_dictionaries(
        {
            "kind": st.sampled_from(["decision", "refusal"]),
            "decision_id": st.text(max_size=40),
            "caller": texts,
            "subject": texts,
            "action": st.text(max_size=10),
            "resource": st.fixed_dictionaries({"type": st.text(max_size=10), "id": texts}),
            "purpose": texts,
            "session": texts,
            "device": texts,
            "outcome": st.sampled_from(["allow", "deny"]),
            "reasons": st.lists(st.text(max_size=10), max_size=3),
            "rules": st.lists(st.text(max_size=10), max_size=3),
            "obligations": st.lists(st.text(max_size=10), max_size=3),
            "revision": st.text(max_size=10),
            "attribute_versions": st.dictionaries(st.text(max_size=8), st.integers(), max_size=3),
            "trace_id": texts,
        }
    )
)
def test_any_text_survives_in_a_template(record: dict[str, Any]) -> None:
    tag, found = round_trip(record)
    assert tag != INLINE
    assert found == record | {"seq": 7, "time": TIME, "worker": "w0"}


@pytest.mark.parametrize("text", ["%s", "%(a)s", "%%", "%99999999999d", "\x00", "\n", "\udc80", '"', "\\", "é\u2028"])
def test_text_that_formats_or_separates_is_only_text(text: str) -> None:
    record = decision(1, subject=text, action=text, reasons=[text], resource={"type": text, "id": text})
    _, found = round_trip(record)
    assert (found["subject"], found["action"], found["reasons"]) == (text, text, [text])
    assert found["resource"] == {"type": text, "id": text}


class Odd:
    def __repr__(self) -> str:
        return "a secret"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (math.nan, "nan"),
        (math.inf, "inf"),
        (b"bytes", "<bytes>"),
        (Odd(), "<Odd>"),
        ({1, 2}, [1, 2]),
        ({"a": Odd()}, {"a": "<Odd>"}),
        (1.5, 1.5),
    ],
)
def test_what_json_cannot_say_is_named_by_its_type_and_never_dropped(value: object, shown: object) -> None:
    tag, found = round_trip(decision(1) | {"extra": value})
    assert tag == INLINE
    assert found["extra"] == shown
    assert found["decision_id"] == decision(1)["decision_id"]


def test_a_value_that_contains_itself_ends() -> None:
    loop: dict[str, Any] = {}
    loop["again"] = loop
    _, found = round_trip(decision(1) | {"extra": loop})
    assert "<nested too deeply>" in json.dumps(found["extra"])


def test_an_oversize_record_is_clipped_and_says_so() -> None:
    record = decision(1) | {"extra": "x" * 3_000_000, "list": list(range(500_000))}
    _, found = round_trip(record)
    assert len(json.dumps(found)) < MAX_PAYLOAD // 10
    assert found["clipped"] > 3_000_000
    assert found["outcome"] == "allow"


def test_identifiers_are_treated_alike_in_templates_and_in_whole_records() -> None:
    policy = IdentifierPolicy(
        caller=Treatment.OMIT,
        subject=Treatment.PSEUDONYM,
        resource=Treatment.CLEAR,
        session=Treatment.OMIT,
        device=Treatment.CLEAR,
        resource_types={"recording": Treatment.PSEUDONYM},
    )
    template_tag, template = round_trip(decision(3), policy)
    inline_tag, inline = round_trip(decision(3) | {"note": "x"}, policy)
    assert (template_tag != INLINE, inline_tag) == (True, INLINE)
    del inline["note"]
    assert template == inline
    assert (template["caller"], template["session"], template["device"]) == (None, None, "laptop-3")
    assert template["subject"].startswith("~1:")
    assert template["resource"]["id"].startswith("~1:")
    _, customer = round_trip(decision(3, resource={"type": "customer", "id": "c-1"}), policy)
    assert customer["resource"] == {"type": "customer", "id": "c-1"}


def test_pseudonyms_need_a_key() -> None:
    with pytest.raises(KeyFileError):
        Identifiers(IdentifierPolicy(), None)
    Identifiers(CLEAR, None)


def test_the_memory_of_identifiers_is_bounded() -> None:
    known = Identifiers(CLEAR, None)
    for number in range(70_000):
        assert known.subject[f"s{number}"] == f'"s{number}"'
    assert len(known.subject) <= 16_384
    assert known.subject[None] == "null"


def test_templates_are_bounded_and_what_is_beyond_is_stored_whole(tmp_path: Path, keys: AuditKeys) -> None:
    log = DecisionLog(settings(tmp_path), keys)
    log.append_many([decision(1, action=f"action-{number}") for number in range(4200)])
    log.close()
    records = read_records(tmp_path / "w0", keys)
    assert [record["action"] for record in records] == [f"action-{number}" for number in range(4200)]
    assert verify(tmp_path, keys.signer.verifier).ok


@given(st.binary(max_size=60))
def test_forged_templates_and_values_never_crash_the_decoder(data: bytes) -> None:
    decoder = PlainDecoder()
    try:
        decoder.define(0, b"\x01\x00" + data)
        decoder.leaf_input(1, 0, data)
    except FormatError:
        pass
    with pytest.raises(FormatError):
        decoder.leaf_input(2, 0, data)
    with pytest.raises(FormatError):
        decoder.define(0, b"\x05\x00" + data)


def test_a_clock_that_steps_back_is_on_record() -> None:
    readings = iter([10_000_000_000_000, 10_000_000_001_000, 7_000_000_000_000, 7_000_000_002_000])
    stamp = Stamp(lambda: next(readings))
    assert stamp.now()[1] == 10_000_000_000 * 0
    assert stamp.now() == ("1970-01-01T02:46:40.000001Z", 0)
    assert stamp.now() == ("1970-01-01T01:56:40.000000Z", 3_000_000_001)
    assert stamp.now() == ("1970-01-01T01:56:40.000002Z", 0)


def test_a_step_back_is_in_the_record_and_order_stays(tmp_path: Path, keys: AuditKeys) -> None:
    readings = iter([2_000_000_000_000_000_000, 1_900_000_000_000_000_000, 1_900_000_000_000_001_000])
    log = DecisionLog(settings(tmp_path), keys)
    log._stamp = Stamp(lambda: next(readings))
    fill(log, range(3))
    log.close()
    records = read_records(tmp_path / "w0", keys)
    assert [record.get("clock_stepped_back_us") for record in records] == [None, 100_000_000_000_000, None]
    assert [record["seq"] for record in records] == [0, 1, 2]


def test_a_record_takes_less_than_400_bytes(tmp_path: Path, keys: AuditKeys) -> None:
    log = DecisionLog(settings(tmp_path), keys)
    fill(log, range(1000))
    log.close()
    assert list_segments(tmp_path / "w0")[0].path.stat().st_size / 1000 < 400


def test_keys_are_made_once_and_for_their_owner(tmp_path: Path) -> None:
    verifier = generate_signing(tmp_path / "keys", "example.com/pdp")
    first = generate_secret(tmp_path / "keys", "pseudonym")
    second = generate_secret(tmp_path / "keys", "pseudonym")
    keys = load_keys(tmp_path / "keys")
    assert keys.signer.verifier == verifier == load_verifier(str(tmp_path / "keys" / "log.vkey"))
    assert load_verifier(verifier.vkey) == verifier
    assert keys.pseudonym is not None
    assert keys.pseudonym.key_id == "0002"
    assert {path.stat().st_mode & 0o777 for path in (first, second, tmp_path / "keys" / "signing.key")} == {0o600}
    with pytest.raises(FileExistsError):
        generate_signing(tmp_path / "keys", "example.com/pdp")
    first.chmod(0o644)
    with pytest.raises(KeyFileError, match="chmod 600"):
        read_secret(first)
    second.chmod(0o600)
    first.chmod(0o600)
    first.write_text("not base64!")
    with pytest.raises(KeyFileError, match="base64"):
        load_keys(tmp_path / "keys")
    with pytest.raises(KeyFileError):
        load_keys(tmp_path / "nowhere")


def test_encryption_keys_rotate_and_old_segments_stay_readable(tmp_path: Path) -> None:
    generate_signing(tmp_path / "keys", "example.com/pdp")
    generate_secret(tmp_path / "keys", "pseudonym")
    for number in range(3):
        generate_secret(tmp_path / "keys", "encryption")
        log = DecisionLog(settings(tmp_path / "log"), load_keys(tmp_path / "keys"))
        fill(log, range(number * 5, number * 5 + 5))
        log.close()
    keys = load_keys(tmp_path / "keys")
    assert len(read_records(tmp_path / "log" / "w0", keys)) == 15
    (tmp_path / "keys" / "encryption-0001.key").unlink()
    with pytest.raises(KeyFileError, match="0001"):
        read_records(tmp_path / "log" / "w0", load_keys(tmp_path / "keys"))
    assert verify(tmp_path / "log", keys.signer.verifier).ok

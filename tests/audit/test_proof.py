"""Inclusion and consistency proofs from real logs."""

import copy
import json
from base64 import b64decode, b64encode
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pdp.audit import AuditKeys, DecisionLog
from pdp.audit.checkpoint import Checkpoint
from pdp.audit.errors import ProofError
from pdp.audit.maintain import maintain
from pdp.audit.merkle import verify_consistency
from pdp.audit.proof import check_inclusion, load_proof, prove, prove_consistency, save_proof
from pdp.audit.search import Query, find, search
from pdp.signing.note import Signer
from tests.audit.support import NAME, decision, fill, make_keys, settings


def build_log(directory: Path, keys: AuditKeys, *, pack: bool) -> list[Checkpoint]:
    log = DecisionLog(settings(directory), keys)
    for start in range(0, 1500, 350):
        fill(log, range(start, start + 350))
        log.append_now({"kind": "reload", "revision": "sha256:cd"})
        log.rotate()
    fill(log, range(1750, 1800))
    log.close()
    if pack:
        maintain(directory / "w0", keys.ring, 0, pack=True)
    notes = [json.loads(line) for path in sorted((directory / "w0").glob("*.ckpt")) for line in path.open("rb")]
    return [Checkpoint.open(note, [keys.signer.verifier]) for note in notes]


@pytest.mark.parametrize("pack", [False, True])
@pytest.mark.parametrize("sealed", [False, True])
def test_a_record_is_proved_offline(tmp_path: Path, *, sealed: bool, pack: bool) -> None:
    keys = make_keys(sealed=sealed)
    build_log(tmp_path, keys, pack=pack)
    for number in (0, 255, 349, 350, 777, 1799):
        record = find(tmp_path, str(decision(number)["decision_id"]), keys.ring)
        assert record is not None
        path = tmp_path / "proof.json"
        save_proof(prove(tmp_path, record, keys.signer.verifier, keys.ring), path)
        proved = check_inclusion(load_proof(path), keys.signer.verifier)
        assert proved.record == record
        assert proved.index == record["seq"]
    reload = next(search(tmp_path, Query(facets={"kind": "reload"}), keys.ring))
    proved = check_inclusion(prove(tmp_path, reload, keys.signer.verifier, keys.ring), keys.signer.verifier)
    assert proved.record == reload


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The place of every scalar in a JSON value."""
    if isinstance(value, dict):
        return [place for name, part in value.items() for place in leaves(part, (*path, name))]
    if isinstance(value, list):
        return [place for number, part in enumerate(value) for place in leaves(part, (*path, number))]
    return [path]


def changed(value: Any) -> Any:
    if isinstance(value, int):
        return value ^ 1
    try:
        raw = b64decode(value, validate=True)
        return b64encode(raw[:-1] + bytes([raw[-1] ^ 1])).decode()
    except ValueError:
        return value[:10] + ("a" if value[10] != "a" else "b") + value[11:]


@pytest.mark.parametrize("sealed", [False, True])
def test_a_proof_with_any_part_changed_or_missing_is_refused(tmp_path: Path, *, sealed: bool) -> None:
    keys = make_keys(sealed=sealed)
    build_log(tmp_path, keys, pack=False)
    record = find(tmp_path, str(decision(777)["decision_id"]), keys.ring)
    assert record is not None
    proof = prove(tmp_path, record, keys.signer.verifier, keys.ring)
    for place in leaves(proof):
        broken = copy.deepcopy(proof)
        holder = broken
        for name in place[:-1]:
            holder = holder[name]
        holder[place[-1]] = changed(holder[place[-1]])
        with pytest.raises(ProofError):
            check_inclusion(broken, keys.signer.verifier)
        del holder[place[-1]]
        with pytest.raises(ProofError):
            check_inclusion(broken, keys.signer.verifier)
    with pytest.raises(ProofError):
        check_inclusion(proof, Signer.generate(NAME).verifier)


def test_a_record_that_is_not_signed_yet_cannot_be_proved(tmp_path: Path, keys: AuditKeys) -> None:
    log = DecisionLog(settings(tmp_path), keys)
    fill(log, range(3))
    log._tick(final=True)
    fill(log, range(3, 5))
    record = find(tmp_path, str(decision(4)["decision_id"]), None)
    assert record is not None
    with pytest.raises(ProofError, match="no checkpoint covers"):
        prove(tmp_path, record, keys.signer.verifier, None)
    log.close()
    assert prove(tmp_path, record, keys.signer.verifier, None)["index"] == 4


def test_each_checkpoint_continues_the_one_before(tmp_path: Path, keys: AuditKeys) -> None:
    checkpoints = build_log(tmp_path, keys, pack=True)
    assert len(checkpoints) >= 5
    for old, new in pairwise(checkpoints):
        path = prove_consistency(tmp_path, old, new, keys.signer.verifier)
        verify_consistency(old.size, new.size, old.root, new.root, path)
    forged = Checkpoint(checkpoints[0].origin, checkpoints[0].size, bytes(32))
    with pytest.raises(ProofError):
        prove_consistency(tmp_path, forged, checkpoints[-1], keys.signer.verifier)
    with pytest.raises(ProofError, match="different trees"):
        prove_consistency(
            tmp_path, checkpoints[0], Checkpoint("example.com/pdp/w9", 9, bytes(32)), keys.signer.verifier
        )

"""Our checkpoints and proofs in the hands of somebody else's verifier: `aics-tlog`, where it is installed."""

from base64 import b64decode
from pathlib import Path

import pytest

from pdp.audit import AuditKeys, DecisionLog
from pdp.audit.proof import prove
from pdp.audit.search import find
from tests.audit.support import decision, fill, settings

checkpoints = pytest.importorskip("aics_tlog.checkpoint", reason="aics-tlog is not installed")
notes = pytest.importorskip("aics_tlog.note")
trees = pytest.importorskip("aics_tlog.tree")


def test_checkpoint_index_and_inclusion_proof_hold_elsewhere(tmp_path: Path, keys: AuditKeys) -> None:
    log = DecisionLog(settings(tmp_path), keys)
    fill(log, range(300))
    log.close()
    key = notes.parse_vkey(keys.signer.verifier.vkey)
    for path in (tmp_path / "w0" / "checkpoint", tmp_path / "index"):
        note = notes.parse_note(path.read_text("utf-8"))
        assert checkpoints.verify_checkpoint(note, key).log_ok
    checkpoint, _ = checkpoints.checkpoint_from_note((tmp_path / "w0" / "checkpoint").read_text("utf-8"))
    record = find(tmp_path, str(decision(123)["decision_id"]), None)
    assert record is not None
    proof = prove(tmp_path, record, keys.signer.verifier, None)
    path = [b64decode(node) for node in proof["path"]]
    text = proof["leaf"]["text"].encode()
    assert trees.verify_leaf_inclusion(text, proof["index"], checkpoint.size, path, checkpoint.root)
    assert not trees.verify_leaf_inclusion(text + b" ", proof["index"], checkpoint.size, path, checkpoint.root)

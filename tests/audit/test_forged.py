"""Forged logs: whatever is changed, `verify` finds it and says what it is.

The forger here is strong: where it helps, CRCs, links and seqs are recomputed. Only the signing key is out of reach.
"""

import json
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from pdp.audit import AuditKeys, DecisionLog
from pdp.audit.framing import DEFINITION, HEAD, HEAD_BYTES, frame
from pdp.audit.merkle import leaf_hash
from pdp.audit.replay import Kind
from pdp.audit.segment import SegmentReader, list_segments
from pdp.audit.verify import Finding, VerifyReport, verify
from pdp.signing.note import Signer
from tests.audit.support import NAME, fill, settings

Forgery = Callable[[Path], None]
RECORDS = 30


def written(directory: Path, keys: AuditKeys, segments: int = 3) -> Path:
    """A closed log of three segments with ten records each."""
    log = DecisionLog(settings(directory), keys)
    for number in range(segments):
        fill(log, range(number * 10, number * 10 + 10))
        if number + 1 < segments:
            log.rotate()
    log.close()
    return directory / "w0"


def path_of(folder: Path, number: int) -> Path:
    return list_segments(folder)[number].path


def split_frames(path: Path) -> tuple[bytes, list[bytes]]:
    """`(header, frames)` of a segment."""
    with SegmentReader(path) as reader:
        _, offset = reader.header()
        data = bytes(reader.whole())
    frames, start = [], offset
    while offset < len(data):
        length = HEAD.unpack_from(data, offset)[1]
        frames.append(data[offset : offset + HEAD_BYTES + length])
        offset += HEAD_BYTES + length
    return data[:start], frames


def record_positions(frames: list[bytes]) -> list[int]:
    return [number for number, part in enumerate(frames) if HEAD.unpack_from(part)[2] != DEFINITION]


def rewrite(path: Path, change: Callable[[list[bytes], list[int]], list[bytes]]) -> None:
    header, frames = split_frames(path)
    path.write_bytes(header + b"".join(change(frames, record_positions(frames))))


def rechained(path: Path) -> None:
    """Recompute every seq, link and CRC of a segment, as a forger with time would."""
    with SegmentReader(path) as reader:
        header, _ = reader.header()
    start, frames = split_frames(path)
    decoder, link, seq, out = header.decoder(None), header.link, header.base, []
    for part in frames:
        _, _, tag, _, _ = HEAD.unpack_from(part)
        payload = part[HEAD_BYTES:]
        if tag == DEFINITION:
            decoder.define(seq, payload)
            out.append(frame(tag, seq, link, payload))
            continue
        link = sha256(link + leaf_hash(decoder.leaf_input(tag, seq, payload)[1:])).digest()
        out.append(frame(tag, seq, link, payload))
        seq += 1
    path.write_bytes(start + b"".join(out))


def edit_payload(frames: list[bytes], at: int) -> list[bytes]:
    """Change a record's trace id and make its CRC right again."""
    _, _, tag, seq, link = HEAD.unpack_from(frames[at])
    payload = frames[at][HEAD_BYTES:].replace(b'"0000', b'"1000', 1)
    assert payload != frames[at][HEAD_BYTES:]
    return [*frames[:at], frame(tag, seq, link, payload), *frames[at + 1 :]]


def drop(folder: Path) -> None:
    rewrite(path_of(folder, 1), lambda frames, at: frames[: at[4]] + frames[at[4] + 1 :])


def reorder(folder: Path) -> None:
    def swapped(frames: list[bytes], at: list[int]) -> list[bytes]:
        frames[at[6]], frames[at[7]] = frames[at[7]], frames[at[6]]
        return frames

    rewrite(path_of(folder, 1), swapped)


def edit(folder: Path) -> None:
    rewrite(path_of(folder, 1), lambda frames, at: edit_payload(frames, at[5]))


def edit_and_rechain(folder: Path) -> None:
    edit(folder)
    rechained(path_of(folder, 1))


def drop_and_rechain(folder: Path) -> None:
    drop(folder)
    rechained(path_of(folder, 1))


def drop_last_of_all_and_rechain(folder: Path) -> None:
    rewrite(path_of(folder, 2), lambda frames, at: frames[: at[-2]] + frames[at[-1] :])
    rechained(path_of(folder, 2))


def repeat(folder: Path) -> None:
    rewrite(path_of(folder, 1), lambda frames, at: frames[: at[4] + 1] + frames[at[4] :])


def insert(folder: Path) -> None:
    def inserted(frames: list[bytes], at: list[int]) -> list[bytes]:
        _, _, tag, seq, link = HEAD.unpack_from(frames[at[5]])
        forged = frame(tag, seq, link, frames[at[5]][HEAD_BYTES:].replace(b'"0000', b'"1000', 1))
        return [*frames[: at[5]], forged, *frames[at[5] :]]

    rewrite(path_of(folder, 1), inserted)


def insert_and_rechain(folder: Path) -> None:
    repeat(folder)
    rechained(path_of(folder, 1))


def cut_tail(folder: Path) -> None:
    rewrite(path_of(folder, 2), lambda frames, at: frames[: at[7]])


def cut_middle_segment(folder: Path) -> None:
    rewrite(path_of(folder, 1), lambda frames, at: frames[: at[7]])


def cut_inside_a_record(folder: Path) -> None:
    path = path_of(folder, 2)
    path.write_bytes(path.read_bytes()[:-7])


def flip(folder: Path) -> None:
    path = path_of(folder, 0)
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)


def swap_segments(folder: Path) -> None:
    first, second = path_of(folder, 1), path_of(folder, 2)
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(kept)


def remove_segment(folder: Path) -> None:
    path_of(folder, 1).unlink()


def remove_first_segment(folder: Path) -> None:
    """What retention does honestly is not a forgery: the rest still leads to the signed roots."""
    path_of(folder, 2).unlink()


def header_state(folder: Path) -> None:
    """Claim another tree at the begin of a segment."""
    with SegmentReader(path_of(folder, 1)) as reader:
        header, offset = reader.header()
        rest = reader.read(offset, reader.size)
    forged = type(header)(header.origin, header.base, header.link, header.frontier[::-1], header.checkpoint, None)
    path_of(folder, 1).write_bytes(forged.encode() + rest)


def resign_with_another_key(folder: Path) -> None:
    stranger = Signer.generate(NAME)
    body = (folder / "checkpoint").read_text("utf-8").rpartition("\n\n")[0] + "\n"
    (folder / "checkpoint").write_text(stranger.sign(body), encoding="utf-8")


def replay_old_checkpoint(folder: Path) -> None:
    old = json.loads((folder / f"{0:020d}.ckpt").read_text("utf-8").splitlines()[0])
    (folder / "checkpoint").write_text(old, encoding="utf-8")


def edit_template(folder: Path) -> None:
    def edited(frames: list[bytes], _: list[int]) -> list[bytes]:
        at = next(n for n, part in enumerate(frames) if b'"outcome":"deny"' in part)
        _, _, tag, seq, link = HEAD.unpack_from(frames[at])
        payload = frames[at][HEAD_BYTES:].replace(b'"outcome":"deny"', b'"outcome":"allow"')
        return [*frames[:at], frame(tag, seq, link, payload), *frames[at + 1 :]]

    rewrite(path_of(folder, 0), edited)


def only_finding(report: VerifyReport) -> Finding:
    assert not report.ok
    found = [*report.findings, *(tree.finding for tree in report.trees if tree.finding)]
    assert found
    return found[0]


CASES: list[tuple[Forgery, Kind, int | None]] = [
    (drop, Kind.DROPPED, 14),
    (reorder, Kind.REORDERED, 16),
    (edit, Kind.EDITED, 15),
    (edit_template, Kind.EDITED, 0),
    (edit_and_rechain, Kind.FORGED, 10),
    (drop_and_rechain, Kind.MISSING_SEGMENT, 19),
    (drop_last_of_all_and_rechain, Kind.TAIL_CUT, 29),
    (repeat, Kind.INSERTED, 15),
    (insert, Kind.INSERTED, 15),
    (insert_and_rechain, Kind.FORGED, 10),
    (cut_tail, Kind.TAIL_CUT, 27),
    (cut_middle_segment, Kind.MISSING_SEGMENT, 17),
    (cut_inside_a_record, Kind.CUT, 29),
    (flip, Kind.DAMAGED, 9),
    (swap_segments, Kind.SWAPPED, 10),
    (remove_segment, Kind.MISSING_SEGMENT, 10),
    (remove_first_segment, Kind.TAIL_CUT, 20),
    (header_state, Kind.SWAPPED, 10),
    (resign_with_another_key, Kind.BAD_CHECKPOINT, None),
    (replay_old_checkpoint, Kind.REPLAYED_CHECKPOINT, None),
]


@pytest.mark.parametrize(("forgery", "kind", "seq"), CASES, ids=[case[0].__name__ for case in CASES])
def test_a_forged_log_is_found_and_named(
    tmp_path: Path, keys: AuditKeys, forgery: Forgery, kind: Kind, seq: int | None
) -> None:
    folder = written(tmp_path, keys)
    assert verify(tmp_path, keys.signer.verifier).records == RECORDS
    forgery(folder)
    finding = only_finding(verify(tmp_path, keys.signer.verifier))
    assert (finding.fault.kind, finding.fault.seq) == (kind, seq), finding


def test_the_byte_that_is_named_is_where_the_record_begins(tmp_path: Path, keys: AuditKeys) -> None:
    folder = written(tmp_path, keys)
    header, frames = split_frames(path_of(folder, 1))
    at = record_positions(frames)[5]
    edit(folder)
    finding = only_finding(verify(tmp_path, keys.signer.verifier))
    assert finding.file == path_of(folder, 1).name
    assert finding.fault.offset == len(header) + sum(map(len, frames[:at]))


def test_the_last_segment_rechained_differs_from_the_signed_root(tmp_path: Path, keys: AuditKeys) -> None:
    """No later header contradicts the forger here: only the signature does."""
    folder = written(tmp_path, keys)
    rewrite(path_of(folder, 2), lambda frames, at: edit_payload(frames, at[5]))
    rechained(path_of(folder, 2))
    finding = only_finding(verify(tmp_path, keys.signer.verifier))
    assert (finding.fault.kind, finding.fault.seq) == (Kind.FORGED, 20)


def without_traces(folder: Path, directory: Path) -> None:
    """Remove every signature inside the directory that a shorter log would contradict."""
    for path in [*folder.glob("*.ckpt"), *folder.glob("*.resume"), folder / "checkpoint", directory / "index"]:
        path.unlink(missing_ok=True)


def test_a_tail_cut_together_with_its_checkpoints_needs_an_anchor_outside(tmp_path: Path, keys: AuditKeys) -> None:
    folder = written(tmp_path / "log", keys)
    anchored = (folder / "checkpoint").read_text("utf-8")
    cut_tail(folder)
    without_traces(folder, tmp_path / "log")
    assert verify(tmp_path / "log", keys.signer.verifier).ok
    finding = only_finding(verify(tmp_path / "log", keys.signer.verifier, [anchored]))
    assert (finding.fault.kind, finding.fault.seq) == (Kind.TAIL_CUT, 27)


def test_an_older_state_of_the_whole_directory_needs_an_anchor_outside(tmp_path: Path, keys: AuditKeys) -> None:
    directory, older = tmp_path / "log", tmp_path / "older"
    written(directory, keys, segments=1)
    shutil.copytree(directory, older)
    log = DecisionLog(settings(directory), keys)
    fill(log, range(10, 20))
    log.close()
    index = (directory / "index").read_text("utf-8")
    assert verify(directory, keys.signer.verifier, [index]).ok
    assert verify(older, keys.signer.verifier).ok
    finding = only_finding(verify(older, keys.signer.verifier, [index]))
    assert finding.fault.kind is Kind.TAIL_CUT


def test_a_removed_worker_is_missed(tmp_path: Path, keys: AuditKeys) -> None:
    for worker in ("w0", "w1"):
        log = DecisionLog(settings(tmp_path, worker=worker), keys)
        fill(log, range(5))
        log.close()
    shutil.rmtree(tmp_path / "w1")
    finding = only_finding(verify(tmp_path, keys.signer.verifier))
    assert (finding.fault.kind, finding.file) == (Kind.MISSING_TREE, f"{NAME}/w1")
    log = DecisionLog(settings(tmp_path), keys)
    fill(log, range(5))
    log.close()
    assert only_finding(verify(tmp_path, keys.signer.verifier)).fault.kind is Kind.MISSING_TREE


def test_a_forged_index_is_found(tmp_path: Path, keys: AuditKeys) -> None:
    written(tmp_path, keys)
    text = (tmp_path / "index").read_text("utf-8")
    (tmp_path / "index").write_text(text.replace("/w0 30 ", "/w0 29 "), encoding="utf-8")
    finding = only_finding(verify(tmp_path, keys.signer.verifier))
    assert (finding.fault.kind, finding.file) == (Kind.BAD_CHECKPOINT, "index")


def test_a_live_log_verifies_while_it_is_written(tmp_path: Path, keys: AuditKeys) -> None:
    log = DecisionLog(settings(tmp_path), keys)
    fill(log, range(10))
    log._tick(final=True)
    fill(log, range(10, 15))
    path = path_of(tmp_path / "w0", 0)
    report = verify(tmp_path, keys.signer.verifier)
    assert report.ok
    assert (report.trees[0].size, report.trees[0].signed) == (15, 10)
    copy = tmp_path / "copy"
    shutil.copytree(tmp_path / "w0", copy / "w0")
    (copy / "w0" / path.name).write_bytes(path.read_bytes()[:-20])
    report = verify(copy, keys.signer.verifier)
    assert report.ok
    assert report.trees[0].unfinished > 0
    log.close()

"""Bundles: built the same every time, opened only when every byte is as it was signed."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from pdp.core.errors import PolicyInvalidError
from pdp.policy import bundle as bundles
from pdp.policy.archive import ARCHIVE_LIMIT, UNPACKED_LIMIT, ArchiveError, pack, unpack
from pdp.policy.bundle import MANIFEST, Trust, build, open_bundle, read_files, sign, verify
from pdp.policy.digest import revision_of
from pdp.signing.note import Signer
from tests.policy.example import contents, write

ALICE, BOB, CAROL = (Signer.generate(name) for name in ("alice", "bob", "carol"))
KEYS = (ALICE.verifier, BOB.verifier)
FILES = {**contents(), "tests/some.yaml": b"version: 1\n# end\n", "invariants.yaml": b"version: 1\n# end\n"}
NOT_LISTED = "its files are not those of its manifest, each once and in order"
NO_FORMAT = "its manifest is not of the format pdp-policy-bundle/1"
Change = Callable[[list[tuple[tarfile.TarInfo, bytes]]], None]


def why(data: bytes, trust: Trust | None = None) -> str:
    """Give the one reason for which a bundle is refused."""
    with pytest.raises(PolicyInvalidError) as caught:
        verify(data, trust or Trust())
    assert len(caught.value.problems) == 1
    return caught.value.problems[0].problem


def packed(unpacked: bytes) -> bytes:
    """Compress as a bundle is, whatever is in it."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = packer.compress(unpacked) + packer.flush()
    trailer = zlib.crc32(unpacked).to_bytes(4, "little") + (len(unpacked) & 0xFFFFFFFF).to_bytes(4, "little")
    return build({**FILES})[:10] + body + trailer


def retarred(change: Change) -> bytes:
    """Change the members of a good bundle, with all checksums of the archive right."""
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(build(FILES)))) as archive:
        members = [(it, archive.extractfile(it).read()) for it in archive]  # type: ignore[union-attr]
    change(members)
    unpacked = io.BytesIO()
    with tarfile.open(fileobj=unpacked, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))
    return packed(unpacked.getvalue())


def with_manifest(text: str) -> bytes:
    """A bundle with this for a manifest and the usual files."""
    return pack(((MANIFEST, (text + "\n").encode()), *sorted(FILES.items())))


def manifest(**changes: str) -> str:
    lines = [f"{hashlib.sha256(it).hexdigest()} {len(it)} {path}" for path, it in sorted(FILES.items())]
    parts = {"format": "pdp-policy-bundle/1", "revision": revision_of(contents()), "serial": "0", **changes}
    head = f"{parts['format']}\nrevision {parts['revision']}\nserial {parts['serial']}\n"
    return head + "\n".join(lines) + "\n" + parts.get("more", "")


def test_a_bundle_gives_back_what_it_was_built_of() -> None:
    opened = open_bundle(build(FILES, serial=7))
    assert (dict(opened.files), opened.serial) == (FILES, 7)
    assert opened.revision == revision_of(contents())


def test_what_checks_a_policy_is_no_part_of_its_revision() -> None:
    assert open_bundle(build(FILES)).revision == open_bundle(build(contents())).revision
    assert build(FILES) != build(contents())


def test_equal_policies_make_equal_bundles(tmp_path: Path) -> None:
    shuffled = list(FILES.items())
    shuffled.reverse()
    write(tmp_path / "a")
    write(tmp_path / "b")
    (tmp_path / "b" / "policy" / "notes.md").write_text("No part of the policy.")
    assert build(FILES) == build(dict(shuffled))
    assert build(read_files(tmp_path / "a")) == build(read_files(tmp_path / "b"))


def test_the_archive_names_no_time_owner_or_system() -> None:
    data = build(FILES)
    assert data[:10] == b"\x1f\x8b\x08\0\0\0\0\0\x02\xff"
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(data))) as archive:
        assert {(it.mtime, it.uid, it.gid, it.uname, it.gname, it.mode) for it in archive} == {
            (0, 0, 0, "", "", 0o644)
        }


def test_every_byte_that_changes_is_noticed() -> None:
    data = sign(build(contents()), ALICE)
    good = verify(data, Trust(KEYS, 1))
    trust = Trust(KEYS, 1)
    for at in range(len(data)):
        for bit in (0x01, 0x80):
            changed = data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :]
            try:
                opened = verify(changed, trust)
            except PolicyInvalidError:
                continue
            assert opened == good, at


@pytest.mark.parametrize("share", [0, 1, 9, 10, 100, -1, -8, -9])
def test_a_half_written_bundle_is_refused(share: int) -> None:
    assert why(build(FILES)[:share]) in {
        "is not a bundle: it does not start as one",
        "is damaged: it cannot be decompressed",
        "is cut short, or goes on after its end",
    }


@pytest.mark.parametrize("after", [b"\0", b"more", build(FILES)])
def test_nothing_may_follow(after: bytes) -> None:
    assert why(build(FILES) + after) == "is cut short, or goes on after its end"


@pytest.mark.parametrize(
    "data", [b"\x7fELF" + bytes(500), b"p,rule,*,*,*,True,allow,,\n", gzip.compress(b"x", mtime=0), b"PK\3\4"]
)
def test_what_is_no_bundle_is_refused(data: bytes) -> None:
    assert why(data) == "is not a bundle: it does not start as one"


def test_100_megabytes_are_refused_unread() -> None:
    assert why(bytes(100 * 1024 * 1024)) == f"is larger than {ARCHIVE_LIMIT} bytes"


def test_a_bomb_is_refused_before_it_unpacks() -> None:
    bomb = packed(bytes(4 * UNPACKED_LIMIT))
    assert len(bomb) < ARCHIVE_LIMIT
    assert why(bomb) == f"unpacks to more than {UNPACKED_LIMIT} bytes"


def test_a_bomb_of_members_is_refused() -> None:
    header = gzip.decompress(pack((("policy/a.csv", b""),)))[:512]
    assert "more than 4096 members" in why(packed(header * 10_000 + bytes(10_240)))


def test_a_member_that_claims_a_size_it_has_not_is_refused() -> None:
    def sparse(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        members[1][0].pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.realsize": str(1 << 40)}

    assert "is not laid out as a bundle is" in why(retarred(sparse))


@pytest.mark.parametrize(
    "path", ["../../etc/passwd", "/etc/passwd", "policy/../../x.csv", "a/b.csv", "policy/.x.csv"]
)
def test_a_path_that_leads_elsewhere_is_refused(path: str) -> None:
    content = b"# end\n"
    assert why_built({**FILES, path: content}) == f"{path} is not a file of a policy folder"
    # Nor with a manifest and a revision that say so.
    entry = f"{hashlib.sha256(content).hexdigest()} {len(content)} {path}"
    lines = sorted([*manifest().splitlines()[3:], entry], key=lambda it: it.split(" ")[2])
    text = "\n".join((*manifest().splitlines()[:3], *lines)) + "\n"
    data = pack(((MANIFEST, (text + "\n").encode()), *sorted({**FILES, path: content}.items())))
    assert why(data) == f"{path} is not a file of a policy folder"


def why_built(given: dict[str, bytes]) -> str:
    with pytest.raises(PolicyInvalidError) as caught:
        build(given)
    return caught.value.problems[0].problem


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE]
)
def test_only_plain_files_are_in_it(kind: bytes) -> None:
    def link(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        members[3][0].type = kind
        members[3][0].linkname = "/etc/passwd"

    assert "is not laid out as a bundle is" in why(retarred(link))


@pytest.mark.parametrize(("field", "value"), [("mtime", 1), ("uid", 1), ("uname", "root"), ("mode", 0o4755)])
def test_there_is_one_way_to_lay_it_out(field: str, value: object) -> None:
    def set_field(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        setattr(members[2][0], field, value)

    assert "is not laid out as a bundle is" in why(retarred(set_field))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda them: them.pop(0), "its first member is not manifest.note"),
        (lambda them: them.pop(2), NOT_LISTED),
        (lambda them: them.append(them[2]), "its members are not in order, each once"),
        (lambda them: them.reverse(), "its first member is not manifest.note"),
        (lambda them: them.insert(1, them.pop(2)), "its members are not in order, each once"),
        (lambda them: them.clear(), "its first member is not manifest.note"),
    ],
)
def test_members_are_those_of_the_manifest(change: Change, reason: str) -> None:
    assert why(retarred(change)) == reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (manifest(), None),
        (manifest(format="pdp-policy-bundle/2"), NO_FORMAT),
        (manifest(serial="-1"), NO_FORMAT),
        (manifest(serial="01"), NO_FORMAT),
        (manifest(revision="sha256:" + "0" * 64), "its files are not of the revision that its manifest names"),
        (manifest(more="\n"), NOT_LISTED),
        (manifest(more=manifest().splitlines()[-1] + "\n"), NOT_LISTED),
        (manifest().replace(" model.conf", " model.con"), NOT_LISTED),
        (manifest().replace("\nserial", "\nSerial"), NO_FORMAT),
        ("", "manifest.note: a note has a text, a blank line and signature lines"),
    ],
)  # fmt: skip
def test_a_manifest_says_one_thing(text: str, reason: str | None) -> None:
    data = with_manifest(text)
    if reason is None:
        assert verify(data, Trust()).files == FILES
    else:
        assert why(data) == reason


def test_a_file_that_is_not_as_listed_is_refused() -> None:
    changed = {**FILES, "policy/rules.csv": FILES["policy/rules.csv"].replace(b"< 50", b"< 99")}
    data = pack(((MANIFEST, (manifest() + "\n").encode()), *sorted(changed.items())))
    assert why(data) == "policy/rules.csv is not what its manifest says"


def test_a_manifest_that_is_not_text_is_refused() -> None:
    data = pack(((MANIFEST, b"\xff\xfe"), *sorted(FILES.items())))
    assert why(data) == "manifest.note is not UTF-8"


@pytest.mark.parametrize("signers", [(ALICE, BOB), (BOB, ALICE), (ALICE, CAROL, BOB), (ALICE, ALICE, BOB)])
def test_enough_signatures_in_any_order_are_enough(signers: tuple[Signer, ...]) -> None:
    data = build(FILES)
    for signer in signers:
        data = sign(data, signer)
    assert verify(data, Trust(KEYS, 2)).files == FILES


@pytest.mark.parametrize(
    ("signers", "reason"),
    [
        ((), "2 signatures of known keys needed, 0 found"),
        ((ALICE,), "2 signatures of known keys needed, 1 found (alice)"),
        ((ALICE, ALICE), "2 signatures of known keys needed, 1 found (alice)"),
        (
            (ALICE, CAROL),
            (
                "2 signatures of known keys needed, 1 found (alice); "
                "signed under names whose keys are not known here: carol"
            ),
        ),
    ],
)
def test_too_few_signatures_are_refused(signers: tuple[Signer, ...], reason: str) -> None:
    data = build(FILES)
    for signer in signers:
        data = sign(data, signer)
    assert why(data, Trust(KEYS, 2)) == reason


def test_a_revoked_key_no_longer_counts() -> None:
    data = sign(build(FILES), ALICE)
    assert verify(data, Trust(KEYS, 1))
    assert "0 found" in why(data, Trust((BOB.verifier,), 1))


def test_one_person_with_two_keys_is_one_person() -> None:
    again = Signer.generate("alice")
    data = sign(sign(build(FILES), ALICE), again)
    assert "1 found (alice)" in why(data, Trust((ALICE.verifier, again.verifier), 2))


def test_a_signature_by_another_key_of_the_same_name_does_not_count() -> None:
    data = sign(build(FILES), Signer.generate("alice"))
    assert "0 found" in why(data, Trust(KEYS, 1))


def test_a_signature_does_not_move_to_another_policy() -> None:
    note = open_bundle(sign(build(FILES), ALICE)).note
    other = build(contents({"policy/more.csv": "p,one-more,agent,read,log,True,allow,,b\n# end\n"}))
    text = open_bundle(other).note + note.rpartition("\n\n")[2]
    data = pack(((MANIFEST, text.encode()), *sorted(open_bundle(other).files.items())))
    assert why(data, Trust(KEYS, 1)) == "the signature of alice is wrong"
    assert why(data, Trust(KEYS, 0)) == "the signature of alice is wrong"


def test_signing_changes_the_signatures_alone() -> None:
    first, both = open_bundle(sign(build(FILES), ALICE)), open_bundle(sign(sign(build(FILES), ALICE), BOB))
    assert (first.files, first.revision) == (both.files, both.revision)
    assert both.claimed == ("alice", "bob")
    assert both.signers(KEYS) == KEYS


def test_a_folder_with_a_link_out_of_it_makes_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("# end\n")
    folder = write(tmp_path / "policies")
    (folder / "policy" / "out.csv").symlink_to(tmp_path / "secret.csv")
    with pytest.raises(PolicyInvalidError, match=r"out\.csv: is a link that leads out of the policy folder"):
        read_files(folder)


def test_a_name_too_long_for_an_archive_is_refused_when_it_is_built() -> None:
    path = f"policy/{'a' * 100}.csv"
    assert "cannot hold a member of this name" in why_built({**FILES, path: b"# end\n"})


def test_an_archive_is_read_back_as_it_was_packed() -> None:
    members = [("a", b""), ("b" * 60 + "/" + "c" * 90, b"x" * 511), ("d", b"y" * 512), ("e", b"z" * 513)]
    assert unpack(pack(members)) == members
    with pytest.raises(ArchiveError, match="is larger than"):
        pack([("big", os.urandom(ARCHIVE_LIMIT + 1))])


def test_reasons_name_the_bundle() -> None:
    with pytest.raises(PolicyInvalidError, match=r"^bundle: "):
        bundles.open_bundle(b"")

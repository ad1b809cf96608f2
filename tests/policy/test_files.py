"""The policy folder: only plain files inside it, each read once, all of them accounted for."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from pdp.core.errors import PolicyInvalidError, PolicyProblem
from pdp.engine.reference import ReferenceMatcher
from pdp.policy import files, load
from pdp.policy.problems import Problems
from tests.policy.example import FILES, RULES, build, write


def problems_in(folder: Path) -> list[PolicyProblem]:
    try:
        load(folder, ReferenceMatcher)
    except PolicyInvalidError as error:
        return list(error.problems)
    return []


def only(folder: Path) -> tuple[str, str]:
    found = problems_in(folder)
    assert len(found) == 1, [str(it) for it in found]
    return found[0].file, found[0].problem


def test_a_folder_is_loaded(tmp_path: Path) -> None:
    snapshot = load(write(tmp_path), ReferenceMatcher)
    assert snapshot.revision == build().revision
    assert snapshot.rules == build().rules


@pytest.mark.parametrize("name", ["model.conf", "schema.yaml", "obligations.yaml", "routes.yaml"])
def test_every_file_must_be_there(tmp_path: Path, name: str) -> None:
    (write(tmp_path) / name).unlink()
    assert (name, "is missing") in [(it.file, it.problem) for it in problems_in(tmp_path)]


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    assert only(tmp_path / "no") == (str(tmp_path / "no"), "is no folder")


def test_a_folder_without_rules_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, {"policy/rules.csv": None, "policy/links.csv": None})
    assert ("policy", "holds no rules") in [(it.file, it.problem) for it in problems_in(folder)]


@pytest.mark.parametrize("name", ["policy/denies.cvs", "policy/denies.csv.bak", "policy/x.CSV", "policy/a b.csv"])
def test_a_file_that_would_silently_not_be_read_is_refused(tmp_path: Path, name: str) -> None:
    assert only(write(tmp_path, {name: RULES})) == (name, "is not a file of rules, and would not be read")


def test_a_name_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = os.fsencode(write(tmp_path)) + b"/policy/\xff.csv"
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
    assert only(tmp_path) == ("policy/\\udcff.csv", "is not a file of rules, and would not be read")


@pytest.mark.parametrize("name", ["policy/README.md", "policy/.rules.csv.swp", "policy/rules.csv~", "README.md"])
def test_notes_and_what_editors_leave_are_left_out(tmp_path: Path, name: str) -> None:
    assert load(write(tmp_path, {name: "notes"}), ReferenceMatcher).revision == build().revision


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    outside = write(tmp_path / "outside") / "policy" / "rules.csv"
    folder = write(tmp_path / "inside", {"policy/rules.csv": None})
    (folder / "policy" / "rules.csv").symlink_to(outside)
    assert ("policy/rules.csv", "is a link that leads out of the policy folder") in [
        (it.file, it.problem) for it in problems_in(folder)
    ]


def test_a_folder_of_rules_that_is_a_link_out_is_refused(tmp_path: Path) -> None:
    outside = write(tmp_path / "outside") / "policy"
    folder = write(tmp_path / "inside", {"policy/rules.csv": None, "policy/links.csv": None})
    (folder / "policy").symlink_to(outside)
    found = {it.file: it.problem for it in problems_in(folder)}
    assert found["policy/rules.csv"] == "is a link that leads out of the policy folder"


def test_links_inside_the_folder_are_followed_as_a_config_map_is_mounted(tmp_path: Path) -> None:
    write(tmp_path / "..2024_01_01")
    (tmp_path / "..data").symlink_to("..2024_01_01")
    for name in ("model.conf", "schema.yaml", "obligations.yaml", "routes.yaml", "policy"):
        (tmp_path / name).symlink_to(Path("..data") / name)
    assert load(tmp_path, ReferenceMatcher).revision == build().revision


def test_a_link_in_a_circle_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, {"routes.yaml": None})
    (folder / "routes.yaml").symlink_to("routes.yaml")
    assert [it.file for it in problems_in(folder)] == ["routes.yaml"]


def test_what_is_not_a_plain_file_is_refused_without_waiting(tmp_path: Path) -> None:
    folder = write(tmp_path, {"routes.yaml": None, "obligations.yaml": None, "model.conf": None})
    os.mkfifo(folder / "routes.yaml")
    (folder / "obligations.yaml").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(folder / "model.conf"))
        found = {it.file: it.problem for it in problems_in(folder)}
    assert found["routes.yaml"] == "is not a plain file"
    assert found["obligations.yaml"] == "is not a plain file"
    assert found["model.conf"].startswith("cannot be read: ")


def test_a_file_of_a_hundred_megabytes_is_refused_unread(tmp_path: Path) -> None:
    folder = write(tmp_path)
    with (folder / "policy" / "rules.csv").open("r+b") as file:
        file.truncate(100 * 1024 * 1024)
    assert ("policy/rules.csv", "is larger than 8388608 bytes") in [
        (it.file, it.problem) for it in problems_in(folder)
    ]


def test_all_files_together_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "FOLDER_LIMIT", sum(len(it) for it in FILES.values()) - 1)
    assert "all files together are larger" in problems_in(write(tmp_path))[0].problem


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, {f"policy/f{at:04}.csv": "# end\n" for at in range(1001)})
    assert ("policy", "holds more than 1000 files") in [(it.file, it.problem) for it in problems_in(folder)]


def test_each_file_is_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, opened, real = write(tmp_path), [], os.open

    def spy(path: str | Path, *rest: int) -> int:
        opened.append(str(path))
        return real(path, *rest)

    monkeypatch.setattr(os, "open", spy)
    load(folder, ReferenceMatcher)
    assert sorted(opened) == sorted(str(folder / name) for name in FILES)


def test_the_signature_changes_with_every_kind_of_change(tmp_path: Path) -> None:
    folder = write(tmp_path)
    rules = folder / "policy" / "rules.csv"
    seen = {files.signature(folder)}
    times = rules.stat()
    rules.write_text(RULES.replace("GDPR", "gdpr"))
    os.utime(rules, ns=(times.st_atime_ns, times.st_mtime_ns))
    seen.add(files.signature(folder))
    rules.rename(folder / "policy" / "other.csv")
    seen.add(files.signature(folder))
    (folder / "policy" / "more.csv").write_text("# end\n")
    seen.add(files.signature(folder))
    (folder / "routes.yaml").unlink()
    seen.add(files.signature(folder))
    assert len(seen) == 5
    assert files.signature(folder) in seen, "looking changes nothing"


def test_a_file_read_alone_is_held_to_the_same(tmp_path: Path) -> None:
    problems = Problems()
    (tmp_path / "in").mkdir()
    (tmp_path / "secret").write_text("x")
    assert files.read_file(tmp_path / "in", "../secret", problems) is None
    assert [it.problem for it in problems.in_order()][-1] == "is a link that leads out of the policy folder"

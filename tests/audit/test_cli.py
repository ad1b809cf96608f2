"""`pdp audit` as people and scripts use it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from pdp.audit import AuditKeys, DecisionLog, load_keys
from pdp.audit.segment import list_segments
from pdp.cli.audit import app
from pdp.core.errors import PdpError
from pdp.signing.note import Verifier
from tests.audit.support import decision, fill, read_records, settings


class Home:
    """A log directory with its keys, and the command pointed at them."""

    def __init__(self, root: Path) -> None:
        self.log, self.keys = root / "log", root / "keys"
        self.environment = {
            "PDP_AUDIT__DIRECTORY": str(self.log),
            "PDP_AUDIT__KEYS": str(self.keys),
            "COLUMNS": "200",
        }

    def run(self, *arguments: str, code: int = 0) -> Result:
        result = CliRunner().invoke(app, arguments, env=self.environment)
        assert result.exit_code == code, (result.output, result.exception)
        return result

    def json(self, *arguments: str, code: int = 0) -> list[Any]:
        return [json.loads(line) for line in self.run(*arguments, code=code).stdout.splitlines()]

    def fail(self, *arguments: str) -> str:
        """The message of a command that fails on purpose."""
        result = CliRunner().invoke(app, arguments, env=self.environment)
        assert isinstance(result.exception, PdpError), (result.output, result.exception)
        return str(result.exception)

    def load(self) -> AuditKeys:
        return load_keys(self.keys)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    place = Home(tmp_path)
    place.run("keygen", "--name", "example.com/pdp")
    log = DecisionLog(settings(place.log, keys=place.keys), place.load())
    fill(log, range(60))
    log.rotate()
    fill(log, range(60, 70))
    log.close()
    return place


def test_keygen_prints_what_may_be_published_and_keeps_what_exists(tmp_path: Path) -> None:
    place = Home(tmp_path)
    shown = place.run("keygen", "--name", "example.com/pdp").stdout
    vkey = re.search(r"example\.com/pdp\+[0-9a-f]{8}\+\S+", shown)
    assert vkey is not None
    assert Verifier.from_vkey(vkey[0]) == place.load().signer.verifier
    assert "PRIVATE" not in shown
    assert "keeps its signing key" in place.fail("keygen", "--name", "example.com/pdp")
    place.run("keygen", "--pseudonym", "--encryption")
    assert (len(place.load().pseudonyms), place.load().ring is not None) == (2, True)
    assert "say what to make" in place.fail("keygen")


def test_search_by_clear_identifier(home: Home) -> None:
    found = home.json("search", "--subject", "agent-3", "--outcome", "deny", "--json")
    expected = [n for n in range(70) if n % 7 == 3 and n % 5 == 0]
    assert [record["attribute_versions"]["subject"] - 12 for record in found] == expected[::-1]
    assert home.json("search", "--subject", "nobody", "--json", code=1) == []
    assert len(home.json("search", "--reason", "no_matching_permit", "--since", "1h", "--limit", "5", "--json")) == 5
    assert home.json("search", "--until", "2001-01-01", "--json", code=1) == []
    home.run("search", "--since", "someday", code=2)
    assert "DENY" in home.run("search", "--outcome", "deny").stdout


def test_whoever_reads_is_on_record(home: Home) -> None:
    home.run("search", "--subject", "agent-3")
    home.run("show", str(decision(5)["decision_id"]))
    reads = read_records(home.log / "reader", home.load())
    assert [(record["kind"], record["action"]) for record in reads] == [
        ("audit_read", "search"),
        ("audit_read", "show"),
    ]
    assert reads[0]["query"]["subject"].startswith("~0001:")
    assert "agent-3" not in json.dumps(reads)


def test_nothing_is_shown_that_cannot_be_put_on_record(home: Home) -> None:
    (home.keys / "signing.key").unlink()
    result = CliRunner().invoke(app, ["search", "--subject", "agent-3"], env=home.environment)
    assert isinstance(result.exception, PdpError)
    assert "cannot be put on record" in str(result.exception)
    assert result.stdout == ""
    assert len(home.json("search", "--subject", "agent-3", "--json", "--unrecorded")) == 10


def test_tail_shows_the_newest_last(home: Home) -> None:
    found = home.json("tail", "-n", "4", "--json", "--unrecorded")
    assert [record["seq"] for record in found] == [66, 67, 68, 69]
    assert home.run("tail", "-n", "2", "--unrecorded").stdout.count("\n") == 2


def test_tail_follows_across_processes_until_it_is_stopped(home: Home) -> None:
    command = [sys.executable, "-m", "pdp", "audit", "tail", "--follow", "-n", "1", "--json", "--unrecorded"]
    environment = os.environ | home.environment
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["seq"] == 69
        log = DecisionLog(settings(home.log, keys=home.keys), home.load())
        fill(log, range(70, 73))
        log.rotate()
        fill(log, range(73, 75))
        assert [json.loads(process.stdout.readline())["seq"] for _ in range(5)] == [70, 71, 72, 73, 74]
        log.close()
        process.terminate()


def test_tail_follows_by_sequence_whatever_the_clocks_say(home: Home) -> None:
    """Records of the same moment, of an earlier one, and of a worker that begins only now are all new."""
    fixed, earlier = "2026-01-31T08:00:00.000000Z", "2025-12-31T08:00:00.000000Z"
    log = DecisionLog(settings(home.log, keys=home.keys), home.load())
    log.append_now(decision(70, time="2037-01-01T00:00:00.000000Z"))
    command = [sys.executable, "-m", "pdp", "audit", "tail", "--follow", "-n", "3", "--json", "--unrecorded"]
    with subprocess.Popen(command, env=os.environ | home.environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        shown = [json.loads(process.stdout.readline())["seq"] for _ in range(3)]
        assert shown == [68, 69, 70]
        log.append_many([decision(71, time=fixed), decision(72, time=fixed), decision(73, time=earlier)])
        assert [json.loads(process.stdout.readline())["seq"] for _ in range(3)] == [71, 72, 73]
        other = DecisionLog(settings(home.log, keys=home.keys, worker="w1"), home.load())
        fill(other, range(3))
        found = [json.loads(process.stdout.readline()) for _ in range(3)]
        assert [(record["worker"], record["seq"]) for record in found] == [("w1", 0), ("w1", 1), ("w1", 2)]
        process.terminate()
    other.close()
    log.close()


def test_what_is_no_decision_says_what_it_is(home: Home) -> None:
    log = DecisionLog(settings(home.log, keys=home.keys), home.load())
    log.append_now({"kind": "reload", "revision": "sha256:abcdef", "outcome": "accepted"})
    log.close()
    shown = home.run("search", "--kind", "reload", "--unrecorded").stdout
    assert "RELOAD  revision=sha256:abcdef, outcome=accepted" in shown
    assert "1 record in" in home.run("search", "--kind", "reload", "--unrecorded").stderr


def test_the_text_report_has_a_title_for_each_column_and_each_emergency_claim(home: Home) -> None:
    log = DecisionLog(settings(home.log, keys=home.keys), home.load())
    log.append_now(decision(70) | {"emergency_reason": "caller collapsed"})
    log.close()
    shown = home.run("report", "--unrecorded").stdout
    for title in ("subject", "allowed", "denied", "emergency", "resources", "purposes", "last"):
        assert title in shown
    assert "emergency claims, each to be reviewed" in shown
    assert "caller collapsed" in shown


def test_show_tells_everything_about_one_decision(home: Home) -> None:
    shown = home.run("show", str(decision(42)["decision_id"])).stdout
    for word in ("allow", "quality-review", "recording/", "permit", "p:2", "mask_pan", "sha256:"):
        assert word in shown
    assert home.json("show", str(decision(42)["decision_id"]), "--json")[0]["seq"] == 42
    assert "no record" in home.fail("show", "nothing")


def test_verify_names_the_first_bad_record_and_byte(home: Home) -> None:
    assert "VERIFIED" in home.run("verify").stdout
    assert home.json("verify", "--json")[0]["ok"] is True
    path = list_segments(home.log / "w0")[0].path
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    shown = home.run("verify", code=1).stdout
    assert "NOT VERIFIED" in shown
    assert re.search(r"damaged: 0{20}\.log, record \d+, byte \d+", shown)
    finding = home.json("verify", "--json", code=1)[0]["trees"][0]["finding"]
    assert finding["kind"] == "damaged"
    assert finding["byte"] <= len(data) // 2 < finding["byte"] + 2000


def test_verify_against_a_checkpoint_kept_elsewhere(home: Home, tmp_path: Path) -> None:
    anchor = tmp_path / "anchor"
    anchor.write_bytes((home.log / "w0" / "checkpoint").read_bytes())
    home.run("verify", str(home.log), "--checkpoint", str(anchor), "--vkey", home.load().signer.verifier.vkey)
    anchor.write_text("not a note")
    assert "note" in home.fail("verify", "--checkpoint", str(anchor))


def test_a_proof_is_made_and_checked_elsewhere(home: Home, tmp_path: Path) -> None:
    proof = tmp_path / "proof.json"
    home.run("prove", str(decision(42)["decision_id"]), "-o", str(proof))
    vkey = home.load().signer.verifier.vkey
    away = Home(tmp_path / "elsewhere")
    assert "PROVED" in away.run("check-proof", str(proof), "--vkey", vkey).stdout
    assert away.json("check-proof", str(proof), "--vkey", vkey, "--json")[0]["index"] == 42
    value = json.loads(proof.read_text())
    value["leaf"]["text"] = value["leaf"]["text"].replace("allow", "deny")
    proof.write_text(json.dumps(value))
    assert "another root" in away.fail("check-proof", str(proof), "--vkey", vkey)


def test_consistency_of_two_checkpoints(home: Home, tmp_path: Path) -> None:
    note = json.loads((home.log / "w0" / f"{0:020d}.ckpt").read_text("utf-8").splitlines()[0])
    (tmp_path / "old").write_text(note, encoding="utf-8")
    shown = home.run("consistency", str(tmp_path / "old"), str(home.log / "w0" / "checkpoint")).stdout
    assert "CONSISTENT" in shown
    assert "60 records are the first of 70" in shown


@pytest.mark.parametrize("form", ["jsonl", "ocsf", "csv"])
def test_export(home: Home, tmp_path: Path, form: str) -> None:
    out = tmp_path / "out"
    home.run("export", "--format", form, "-o", str(out), "--unrecorded")
    lines = out.read_text("utf-8").splitlines()
    assert len(lines) == 70 + (form == "csv")
    if form != "csv":
        assert all(isinstance(json.loads(line), dict) for line in lines)


@pytest.mark.parametrize(
    ("form", "word"), [("text", "recording"), ("csv", '"recording"'), ("html", "<!doctype html>")]
)
def test_report(home: Home, tmp_path: Path, form: str, word: str) -> None:
    out = tmp_path / "review"
    home.run("report", "--format", form, "-o", str(out))
    text = out.read_text("utf-8")
    assert word in text
    assert home.run("report", "--format", form).stdout
    (tmp_path / "classes.json").write_text('{"recording": "Voice"}')
    home.run("report", "--format", form, "-o", str(out), "--classes", str(tmp_path / "classes.json"))
    assert "Voice" in out.read_text("utf-8")


def test_a_report_on_a_log_that_does_not_verify_says_so(home: Home, tmp_path: Path) -> None:
    path = list_segments(home.log / "w0")[1].path
    path.write_bytes(path.read_bytes()[:-1])
    out = tmp_path / "review.html"
    home.run("report", "--format", "html", "-o", str(out), code=1)
    assert "DID NOT VERIFY" in out.read_text("utf-8")


def test_ship_needs_one_sink(home: Home) -> None:
    assert "one sink" in home.fail("ship")
    assert "cannot be used" in home.fail("ship", "--otlp", "http://127.0.0.1:9/v1/logs", "--once")


def test_a_missing_log_is_named(tmp_path: Path) -> None:
    assert "there is no decision log" in Home(tmp_path).fail("verify")

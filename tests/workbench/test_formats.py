"""The JSON Schemas let pass what the loader takes, and stop what it refuses; the templates are without a finding."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pdp.core.errors import PolicyInvalidError
from pdp.engine.matcher import CompiledEngine
from pdp.policy import assemble, load
from pdp.policy.files import read_folder
from pdp.policy.problems import Problems
from pdp.policy.source import Source
from pdp.policy.yaml_reader import read_yaml
from pdp.workbench.coverage import measure
from pdp.workbench.files import read_policy
from pdp.workbench.formats import FORMATS, json_schema
from pdp.workbench.layout import format_rules
from pdp.workbench.lint import lint
from pdp.workbench.review import read_review
from pdp.workbench.starting import TEMPLATES, template_files, write_files
from pdp.workbench.testing import read_suites, run
from pdp.workbench.verify import Prover, Status, read_invariants
from pdp.yaml_tree import Node, Scalar, Sequence, Table
from tests.cases.case_files import POLICIES
from tests.workbench.example import Change, opened
from tests.workbench.json_schema import fits


def plain(node: Node | None) -> Any:
    match node:
        case Scalar(value=value):
            return value
        case Sequence(items=items):
            return [plain(it) for it in items]
        case Table(entries=entries):
            return {entry.key: plain(entry.value) for entry in entries}
    raise TypeError(type(node).__name__)


def document(text: str) -> Any:
    return plain(read_yaml(Source("a.yaml", text), Problems()))


def schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json_schema(name))
    return found


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_fits_its_schemas(template: str) -> None:
    contents = template_files(template)
    for name, pattern in FORMATS.items():
        for path in contents:
            if Path(path).match(pattern) and Path(path).parent == Path(pattern).parent:
                assert fits(schema(name), document(contents[path].decode())), path


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_has_no_findings_and_keeps_its_promises(template: str, tmp_path: Path) -> None:
    write_files(tmp_path / "new", template_files(template))
    files = read_policy(tmp_path / "new", CompiledEngine())
    assert files.policy is not None
    assert lint(files).findings == ()
    assert all(format_rules(source) == source.text for source in files.rule_sources)
    proved = Prover(files.policy, read_invariants(files.folder, files.policy)).results()
    assert {it.status for it in proved} == {Status.PROVED}
    results = list(run(read_suites(files.folder, files.policy), files.policy))
    assert results
    assert [it.case.name for it in results if not it.passed] == []


@pytest.mark.parametrize("template", ["minimal", "health-records"])
def test_a_templates_tests_reach_every_rule(template: str, tmp_path: Path) -> None:
    write_files(tmp_path / "new", template_files(template))
    files = read_policy(tmp_path / "new", CompiledEngine())
    assert files.policy is not None
    coverage = measure(run(read_suites(files.folder, files.policy), files.policy), files.policy)
    assert coverage.percentages["rules"] == 100


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError):
        write_files(tmp_path, template_files("minimal"))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("schema.yaml", "version: 1", "version: 2"),
        ("schema.yaml", "limits: {clock_skew: 5s", "limits: {clock_skew: 5 s"),
        ("schema.yaml", "compliant: {type: bool", "compliant: {type: boolean"),
        ("schema.yaml", "compliant: {type: bool", "compliant: {type: bool, values: [a]"),
        ("schema.yaml", "compliant: {type: bool", "compliant: {type: bool, minimum: 1"),
        ("schema.yaml", "compliant: {type: bool", "compliant: {type: bool, past: true"),
        ("schema.yaml", "compliant: {type: bool", "compliant: {type: bool, required: false"),
        ("schema.yaml", "compliant: {type: bool", "compliant: {type: bool, default: true"),
        ("schema.yaml", "compliant: {type: bool", "compliant: {type: bool, secret: true"),
        ("schema.yaml", "compliant: {type: bool", "compliant: {type: bool, max_age: 1w"),
        ("schema.yaml", "compliant: {type: bool, sensitivity: clear", "compliant: {type: bool, sensitivity: open"),
        ("schema.yaml", "  purpose: {type: string, values: [billing", "  aim: {type: string, values: [billing"),
        ("schema.yaml", "actions: [read, update, export]", "actions: []"),
        ("schema.yaml", "bindings: {subject: subject", "bindings: {subject: resource"),
        ("obligations.yaml", "watermark: {type: watermark}", "watermark: {type: Water}"),
        ("obligations.yaml", "watermark: {type: watermark}", "Watermark: {type: watermark}"),
        ("obligations.yaml", "watermark: {type: watermark}", "watermark: {mandatory: true}"),
        ("obligations.yaml", "mandatory: false", "mandatory: sometimes"),
        ("routes.yaml", '{method: GET, path: "/invoices', '{method: FETCH, path: "/invoices'),
        ("routes.yaml", '"/invoices/{id}"', '"invoices/{id}"'),
        ("routes.yaml", '"invoice:{id}"', '"invoice"'),
        ("routes.yaml", ", purpose: billing", ", purpose: billing, aim: x"),
    ],
)
def test_what_the_loader_refuses_does_not_fit(file: str, old: str, new: str, tmp_path: Path) -> None:
    name = file.removesuffix(".yaml")
    change: Change = (file, old, new)
    before, after = opened(tmp_path / "a"), opened(tmp_path / "b", change)
    assert after.policy is None
    assert fits(schema(name), document(before.sources[file].text))
    assert not fits(schema(name), document(after.sources[file].text))


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("limits.yaml", "version: 1", "version: 2"),
        ("limits.yaml", "attribute: risk", "attribut: risk"),
        ("limits.yaml", "values: {MEDIUM: 50", "values: {EXTREME: 50"),
        ("limits.yaml", "step: 30m", "step: 30"),
        ("limits.yaml", "days: [mon, tue", "days: [monday, tue"),
        ("limits.yaml", 'from: "06:00"', 'from: "25:00"'),
        ("limits.yaml", "    count: resources", "    count: records"),
        ("limits.yaml", "    window: 24h\n", ""),
        ("limits.yaml", "effect: deny", "effect: denied"),
        ("limits.yaml", "off_hours: true", "off_hours: sometimes"),
        ("limits.yaml", "limits: {HIGH: 60}", "limits: {HIGH: many}"),
        ("limits.yaml", "baseline: {period: 24h", "baseline: {perod: 24h"),
        ("signals.yaml", "version: 1", "version: '1'"),
        ("signals.yaml", "token_age: 7d", "token_age: soon"),
        ("signals.yaml", "  identity-provider:", "  Identity-Provider:"),
        ("signals.yaml", "    jwks_uri: https://idp.example.com/jwks.json\n", ""),
        ("signals.yaml", "jwks_uri: https://idp", "jwks_uri: http://idp"),
        ("signals.yaml", "algorithms: [RS256,", "algorithms: [HS256,"),
        ("signals.yaml", "- caep/session-revoked", "- caep/session-revoke"),
        ("signals.yaml", "critical: [user, session]", "critical: [person]"),
        ("signals.yaml", "{format: opaque}", "{format: opaq}"),
        ("signals.yaml", "    issuer: https://idp.example.com/\n", "    issuers: https://idp.example.com/\n"),
    ],
)
def test_what_the_loader_refuses_of_signals_and_limits_does_not_fit(file: str, old: str, new: str) -> None:
    problems = Problems()
    contents = dict(read_folder(POLICIES, problems))
    text = contents[file].decode()
    assert old in text
    contents[file] = text.replace(old, new, 1).encode()
    with pytest.raises(PolicyInvalidError) as refused:
        assemble(contents, CompiledEngine(), problems)
    assert {it.file for it in refused.value.problems} == {file}
    name = file.removesuffix(".yaml")
    assert fits(schema(name), document(text))
    assert not fits(schema(name), document(contents[file].decode()))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("version: 1", "version: 2"),
        ("sensitive: [cardholder_data", "sensitive: [Cardholder Data"),
        ("sensitive:", "sensitiv:"),
        ("rules: 100", "rules: 101"),
        ("sides: 95", "sides: -1"),
        ("mutants: 95", "mutant: 95"),
        ("thresholds: {rules: 100", "thresholds: {rules: all"),
    ],
)
def test_what_is_no_review_does_not_fit(old: str, new: str, tmp_path: Path) -> None:
    text = (POLICIES / "review.yaml").read_text()
    assert old in text
    changed = text.replace(old, new, 1)
    policy = load(POLICIES, CompiledEngine())
    (tmp_path / "review.yaml").write_text(changed)
    with pytest.raises(PolicyInvalidError):
        read_review(tmp_path, policy)
    assert fits(schema("review"), document(text))
    assert not fits(schema("review"), document(changed))


@pytest.mark.parametrize(
    "keys",
    [
        "never: sometimes",
        "never: allow, who: {is: [clerk]}",
        "never: deny, without: [mask-text]",
        "never: allow, action: []",
        "never: allow, where: x",
        "when: 'True'",
    ],
)
def test_what_is_no_invariant_does_not_fit(keys: str, tmp_path: Path) -> None:
    files = opened(tmp_path)
    text = f"version: 1\ninvariants:\n  - {{name: the-rule, why: reason, {keys}}}\n# end\n"
    (tmp_path / "invariants.yaml").write_text(text)
    assert not fits(schema("invariants"), document(text))
    assert files.policy is not None
    with pytest.raises(PolicyInvalidError):
        read_invariants(tmp_path, files.policy)


def test_every_schema_is_of_its_file() -> None:
    for name, pattern in FORMATS.items():
        assert schema(name)["title"] == pattern
        assert schema(name)["properties"]["version"] == {"const": 1, "description": "The version of the format."}


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080/jwks.json", "http://localhost/keys", "http://[::1]:1/keys"])
def test_a_transmitter_on_this_machine_needs_no_tls(url: str) -> None:
    text = (POLICIES / "signals.yaml").read_text().replace("https://idp.example.com/jwks.json", url, 1)
    problems = Problems()
    contents = {**read_folder(POLICIES, problems), "signals.yaml": text.encode()}
    assert assemble(contents, CompiledEngine(), problems).revision
    assert fits(schema("signals"), document(text))

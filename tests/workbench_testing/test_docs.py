"""The tables that the documentation shows are tables, and pass on the sample policy."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from pdp.workbench.review import read_review
from tests.cases.case_files import POLICIES
from tests.workbench_testing.small import loaded, results_of

DOCUMENT = Path(__file__).parents[2] / "docs" / "policy-workbench.md"


def test_the_examples_are_what_the_tools_read(tmp_path: Path) -> None:
    table, review = re.findall(r"```yaml\n(version: 1\n.*?)```", DOCUMENT.read_text(), re.DOTALL)
    folder = tmp_path / "policies"
    shutil.copytree(POLICIES, folder, ignore=shutil.ignore_patterns("tests"))
    (folder / "tests").mkdir()
    (folder / "tests" / "example.yaml").write_text(table)
    (folder / "review.yaml").write_text(review)
    results = results_of(folder)
    assert [(it.case.name, it.mismatches) for it in results if not it.passed] == []
    assert len(results) == 2 + 2 * 2 * 2
    assert read_review(folder, loaded(folder)) == read_review(POLICIES, loaded(POLICIES))

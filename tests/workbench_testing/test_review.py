"""review.yaml: thresholds, and what is sensitive."""

from __future__ import annotations

from pathlib import Path

import pytest

from pdp.core.errors import PolicyInvalidError
from pdp.workbench.review import THRESHOLDS, Review, read_review, strictest
from tests.workbench_testing.small import loaded, write


def review_of(folder: Path) -> Review:
    return read_review(folder, loaded(folder))


def test_without_a_file_everything_is_sensitive(tmp_path: Path) -> None:
    policy = loaded(write(tmp_path))
    review = read_review(tmp_path, policy)
    assert review.thresholds == THRESHOLDS
    assert all(review.is_sensitive(policy, kind) for kind in policy.schema.resources)


def test_a_class_marks_its_types(tmp_path: Path) -> None:
    folder = write(tmp_path, review="version: 1\nsensitive: [special]\nthresholds: {sides: 80}\n# end\n")
    review = review_of(folder)
    assert [kind for kind in ("invoice", "health_note") if review.is_sensitive(loaded(folder), kind)] == [
        "health_note"
    ]
    assert review.thresholds == {**THRESHOLDS, "sides": 80}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("sensitive: [specials]", "no resource type or class 'specials'"),
        ("sensitive: special", "a list is expected"),
        ("thresholds: {sides: 101}", "a percentage"),
        ("thresholds: {lines: 5}", "unknown key 'lines'"),
        ("secret: []", "unknown key 'secret'"),
    ],
)
def test_a_slip_is_refused(tmp_path: Path, content: str, problem: str) -> None:
    with pytest.raises(PolicyInvalidError, match=problem):
        review_of(write(tmp_path, review=f"version: 1\n{content}\n# end\n"))


def test_no_change_unmarks_a_class() -> None:
    one, other, silent = Review(frozenset({"a"})), Review(frozenset({"b"})), Review()
    assert strictest((one, other)).sensitive == {"a", "b"}
    assert strictest((one, silent)).sensitive is None
    assert strictest((silent, one)).sensitive is None

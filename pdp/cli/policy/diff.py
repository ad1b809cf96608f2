"""``pdp policy diff``: what a change of the policy says, and what it does."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from pdp.audit import AuditError, LogSettings
from pdp.audit.commands import UnrecordableError, put_reading_on_record
from pdp.cli.policy.changed import Findings, diff_data, show_findings
from pdp.cli.policy.options import AsJson
from pdp.cli.policy.tested import FAILED, progress, refusals
from pdp.core.errors import PdpError
from pdp.core.policy import PolicySnapshot
from pdp.engine.matcher import CompiledEngine
from pdp.policy import load
from pdp.workbench.diff import other_changes, rule_changes
from pdp.workbench.impact import Grid, Recording, Tally, grid, replay
from pdp.workbench.review import Review, read_review, strictest

_ATTRIBUTES: Final = Path("sample") / "attributes.yaml"
_LEAST_DIGITS: Final = 12


class ReplayError(PdpError):
    """Recorded decisions that cannot be replayed."""


def diff(
    old: Annotated[Path, typer.Argument(help="The policy folder as it is.")],
    new: Annotated[Path, typer.Argument(help="The policy folder as it would be.")],
    requests: Annotated[
        Path | None, typer.Option(help="Recorded decisions as JSON lines, such as pdp audit export writes.")
    ] = None,
    log: Annotated[Path | None, typer.Option(help="A decision log whose identifiers are clear.")] = None,
    keys: Annotated[Path, typer.Option(help="The folder of that log's keys.")] = Path("var/keys"),
    attributes: Annotated[
        Path | None,
        typer.Option(help="Records of who and what is asked about.", show_default="NEW/sample/attributes.yaml"),
    ] = None,
    search: Annotated[bool, typer.Option(help="Search all that the schema permits, asked or not.")] = True,
    acknowledge: Annotated[
        str, typer.Option(metavar="REVISION", help="Accept what this revision newly allows on sensitive data.")
    ] = "",
    processes: Annotated[int, typer.Option(min=1, help="Processes to use.")] = 2,
    as_json: AsJson = False,
) -> None:
    """Say what changed, and who may do what they could not before, or no longer.

    Exits 1 where something is newly allowed on sensitive data (see review.yaml) and not acknowledged.
    """
    before, review_before = _loaded(old, as_json=as_json)
    after, review_after = _loaded(new, as_json=as_json)
    found = Findings(before, after, rule_changes(before, after), other_changes(before, after))
    if search:
        found.grid = _searched(before, after)
    recording = _recording(requests, log, keys)
    if recording:
        found.replayed, found.seconds = _replayed(recording, (old, new), attributes or new / _ATTRIBUTES, processes)
    review = strictest((review_before, review_after))
    found.sensitive = frozenset(it for it in after.schema.resources if _sensitive(review, before, after, it))
    found.acknowledged = _acknowledges(acknowledge, after)
    if as_json:
        Console().print_json(data=diff_data(found))
    else:
        show_findings(Console(), found)
    if found.refused:
        raise typer.Exit(FAILED)


def _loaded(folder: Path, *, as_json: bool) -> tuple[PolicySnapshot, Review]:
    with refusals(folder, as_json=as_json):
        policy = load(folder, CompiledEngine())
        return policy, read_review(folder, policy)


def _sensitive(review: Review, before: PolicySnapshot, after: PolicySnapshot, kind: str) -> bool:
    """Say whether a type is sensitive by the classes of either revision: a change of classes unmarks nothing."""
    return review.is_sensitive(before, kind) or review.is_sensitive(after, kind)


def _searched(before: PolicySnapshot, after: PolicySnapshot) -> Grid:
    with progress("searching", None) as bar:
        return grid(before, after, lambda done, total: bar.update(bar.task_ids[0], completed=done, total=total))


def _recording(requests: Path | None, log: Path | None, keys: Path) -> Recording | None:
    if requests and log:
        raise typer.BadParameter("give --requests or --log, not both")
    if requests:
        return Recording(requests)
    if log:
        _put_on_record(log, keys)
        return Recording(log, keys)
    return None


def _put_on_record(log: Path, keys: Path) -> None:
    """Note in the log that it is read: who looks at other people's decisions is on record as well."""
    try:
        put_reading_on_record(LogSettings(log, keys), "replay", {})
    except UnrecordableError as error:
        raise ReplayError(f"this reading cannot be put on record, so nothing is read ({error})") from None


def _replayed(
    recording: Recording, folders: tuple[Path, Path], attributes: Path, processes: int
) -> tuple[Tally, float]:
    started = time.perf_counter()
    try:
        with progress("replaying", None) as bar:
            tally = replay(
                recording,
                folders,
                attributes,
                time.time(),
                processes=processes,
                on_progress=lambda done, total: bar.update(bar.task_ids[0], completed=done, total=total),
            )
    except (OSError, AuditError) as error:
        raise ReplayError(f"the recorded decisions cannot be read: {error}") from None
    return tally, time.perf_counter() - started


def _acknowledges(stated: str, policy: PolicySnapshot) -> bool:
    """Say whether somebody acknowledged this very revision, by twelve digits of its digest at least."""
    digits, known = stated.removeprefix("sha256:"), policy.revision.removeprefix("sha256:")
    return len(digits) >= _LEAST_DIGITS and known.startswith(digits)

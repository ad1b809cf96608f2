"""``pdp audit``: read, search, verify and export the decision log.

Whoever reads the log is on record in it: commands that show records first append one of kind ``audit_read`` to the
tree ``reader``, and show nothing if that fails. ``--unrecorded`` is for copies that cannot be written.
"""

from __future__ import annotations

import enum
import json
import os
import re
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.text import Text

from pdp.audit import LogSettings
from pdp.audit.checkpoint import Checkpoint
from pdp.audit.commands import UnrecordableError, put_reading_on_record
from pdp.audit.export import csv_lines, ocsf_lines
from pdp.audit.follow import Follower
from pdp.audit.keys import (
    ENCRYPTION,
    PSEUDONYM,
    SIGNING,
    VKEY,
    generate_secret,
    generate_signing,
    load_pseudonyms,
    load_ring,
)
from pdp.audit.proof import check_inclusion, load_proof, prove, prove_consistency, save_proof
from pdp.audit.reading import parse
from pdp.audit.report import csv_rows, review
from pdp.audit.report_html import html_page
from pdp.audit.scan import scan
from pdp.audit.sealing import KeyRing
from pdp.audit.search import Query, find, known_as
from pdp.audit.search import search as search_log
from pdp.audit.segment import list_segments, list_workers
from pdp.audit.ship import Shipper
from pdp.audit.sinks import OtlpLogs, RedisStream, Sink
from pdp.audit.verify import VerifyReport
from pdp.audit.verify import verify as verify_log
from pdp.cli.audit_output import progress_bar, record_line, record_panel, review_view, verify_data, verify_view
from pdp.config import load as load_config
from pdp.core.errors import PdpError
from pdp.signing.keyfiles import load_verifier
from pdp.signing.note import Verifier

app = typer.Typer(no_args_is_help=True)

_POLL: Final = 0.2
_AGE: Final = re.compile(r"(\d+)([smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

_ConfigFile = Annotated[Path | None, typer.Option("--config", envvar="PDP_CONFIG", help="TOML file of settings.")]
_Dir = Annotated[Path | None, typer.Option("--dir", help="The log directory.", show_default="as the service is set")]
_Keys = Annotated[
    Path | None, typer.Option("--keys", help="The folder of keys.", show_default="as the service is set")
]
_Vkey = Annotated[
    str | None,
    typer.Option("--vkey", help="The log's public key, or a file of it.", show_default="log.vkey of the keys"),
]
_Json = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
_Unrecorded = Annotated[bool, typer.Option("--unrecorded", help="Read without putting the reading on record.")]
_Since = Annotated[str, typer.Option(help="From this time on: RFC 3339, a date, or an age such as 90m, 24h, 30d.")]
_Until = Annotated[str, typer.Option(help="Before this time, in the same forms.")]
_Out = Annotated[Path | None, typer.Option("--out", "-o", help="Write to this file.", show_default="standard output")]


class AuditCommandError(PdpError):
    """A command that cannot do what it was asked for."""


class ExportFormat(enum.StrEnum):
    """A form of export."""

    JSONL = "jsonl"
    OCSF = "ocsf"
    CSV = "csv"


class ReportFormat(enum.StrEnum):
    """A form of the access review."""

    TEXT = "text"
    CSV = "csv"
    HTML = "html"


def _settings(config: Path | None, directory: Path | None, keys: Path | None) -> LogSettings:
    flags = {"audit.directory": directory, "audit.keys": keys}
    settings = load_config(config, os.environ, flags).audit
    if not settings.directory.is_dir():
        raise AuditCommandError(f"there is no decision log in {settings.directory}; name it with --dir")
    return settings


def _verifier(settings: LogSettings, vkey: str | None) -> Verifier:
    return load_verifier(vkey or str(settings.keys / VKEY))


def _put_on_record(settings: LogSettings, action: str, asked: dict[str, Any]) -> None:
    """Append the ``audit_read`` record of what is about to be shown."""
    try:
        put_reading_on_record(settings, action, asked)
    except UnrecordableError as error:
        raise AuditCommandError(
            f"this reading cannot be put on record, so nothing is shown ({error}); see --unrecorded"
        ) from None


def _time(text: str) -> str:
    """An RFC 3339 time from what a person types."""
    age = _AGE.fullmatch(text)
    if age:
        moment = datetime.now(UTC) - timedelta(**{_UNITS[age[2]]: int(age[1])})
        return moment.isoformat().replace("+00:00", "Z")
    if text:
        try:
            datetime.fromisoformat(text)
        except ValueError:
            raise typer.BadParameter(
                f"{text!r} is no time: use 2026-01-31, 2026-01-31T08:00:00Z or an age like 24h"
            ) from None
    return text


def _emit(lines: Iterable[str], out: Path | None) -> int:
    """Write lines to a file, or to standard output; answers how many."""
    count = 0
    file = out.open("w", encoding="utf-8", newline="") if out else sys.stdout
    try:
        for line in lines:
            file.write(line)
            count += 1
        file.flush()
    finally:
        if out:
            file.close()
    return count


@contextmanager
def _progress(what: str) -> Iterator[Any]:
    """A progress callback with a bar on standard error."""
    with progress_bar(Console(stderr=True), what) as bar:
        yield lambda done, total: bar.update(bar.task_ids[0], completed=done, total=total)


@app.callback()
def audit() -> None:
    """Read, search, verify and export the decision log."""


@app.command()
def tail(
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many of the newest records.")] = 20,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with new records as they are written.")
    ] = False,
    directory: _Dir = None,
    keys: _Keys = None,
    config: _ConfigFile = None,
    unrecorded: _Unrecorded = False,
    as_json: _Json = False,
) -> None:
    """Show the newest records, and with --follow the ones that come."""
    settings = _settings(config, directory, keys)
    if not unrecorded:
        _put_on_record(settings, "tail", {"lines": lines, "follow": follow})
    ring, console = load_ring(settings.keys), Console()
    followers = _at_the_end(settings.directory, ring) if follow else {}
    there = (
        record
        for record in search_log(settings.directory, Query(), ring, sys.maxsize)
        if not follow or _was_there(record, followers)
    )
    for record in reversed(list(islice(there, lines))):
        _show_line(console, record, as_json=as_json)
    if follow:
        _follow(settings.directory, ring, followers, console, as_json=as_json)


def _at_the_end(directory: Path, ring: KeyRing | None) -> dict[str, Follower]:
    """Followers of each worker that have read all there is. What they read next is new, whatever the clocks say."""
    followers = {
        folder.name: Follower(folder, ring, list_segments(folder)[-1].base) for folder in list_workers(directory)
    }
    for follower in followers.values():
        while follower.read(1000):
            pass
    return followers


def _was_there(record: dict[str, Any], followers: dict[str, Follower]) -> bool:
    follower = followers.get(str(record.get("worker")))
    return follower is not None and record["seq"] < follower.next


def _follow(
    directory: Path, ring: KeyRing | None, followers: dict[str, Follower], console: Console, *, as_json: bool
) -> None:
    while True:
        for folder in list_workers(directory):
            if folder.name not in followers:
                followers[folder.name] = Follower(folder, ring)
            for _, text in followers[folder.name].read(1000):
                _show_line(console, parse(text), as_json=as_json)
        time.sleep(_POLL)


def _show_line(console: Console, record: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(record))
    else:
        console.print(record_line(record), soft_wrap=not console.is_terminal)


@app.command()
def search(
    subject: Annotated[str, typer.Option(help="Who: as the service sees them (agent:alice), or a pseudonym.")] = "",
    resource: Annotated[str, typer.Option(help="To what: the id of a resource, or its pseudonym.")] = "",
    session: Annotated[str, typer.Option(help="In which session.")] = "",
    device: Annotated[str, typer.Option(help="From which device.")] = "",
    outcome: Annotated[str, typer.Option(help="allow or deny.")] = "",
    reason: Annotated[str, typer.Option(help="A reason code.")] = "",
    action: Annotated[str, typer.Option(help="Which action.")] = "",
    resource_type: Annotated[str, typer.Option("--type", help="Which type of resource.")] = "",
    rule: Annotated[str, typer.Option(help="The id of a rule that decided.")] = "",
    caller: Annotated[str, typer.Option(help="Which enforcement point.")] = "",
    kind: Annotated[str, typer.Option(help="decision, refusal, reload, start, stop, audit_read...")] = "",
    since: _Since = "",
    until: _Until = "",
    limit: Annotated[int, typer.Option(help="How many at most; the newest come first.")] = 100,
    directory: _Dir = None,
    keys: _Keys = None,
    config: _ConfigFile = None,
    unrecorded: _Unrecorded = False,
    as_json: _Json = False,
) -> None:
    """Find records. Exits 1 where there is none."""
    settings = _settings(config, directory, keys)
    pseudonyms = load_pseudonyms(settings.keys)
    named = {"subject": subject, "resource": resource, "session": session, "device": device}
    identifiers = {name: known_as(name, value, pseudonyms) for name, value in named.items() if value}
    facets = {"outcome": outcome, "reasons": reason, "action": action, "type": resource_type, "rules": rule}
    facets = {name: value for name, value in {**facets, "caller": caller, "kind": kind}.items() if value}
    query = Query(identifiers, facets, _time(since), _time(until))
    if not unrecorded:
        sought = {name: values[-1] for name, values in identifiers.items()}
        _put_on_record(settings, "search", {**sought, **facets, "since": query.since, "until": query.until})
    console, started = Console(), time.perf_counter()
    found = list(search_log(settings.directory, query, load_ring(settings.keys), limit))
    spent = time.perf_counter() - started
    for record in found:
        _show_line(console, record, as_json=as_json)
    if not as_json:
        note = f"{len(found):,} {'record' if len(found) == 1 else 'records'} in {spent * 1000:.0f} ms" + (
            " (there may be more)" if len(found) == limit else ""
        )
        Console(stderr=True).print(Text(note, style="dim"))
    raise typer.Exit(0 if found else 1)


@app.command()
def show(
    decision_id: Annotated[str, typer.Argument(metavar="ID", help="A decision's id.")],
    directory: _Dir = None,
    keys: _Keys = None,
    config: _ConfigFile = None,
    unrecorded: _Unrecorded = False,
    as_json: _Json = False,
) -> None:
    """Show one decision's record whole."""
    settings = _settings(config, directory, keys)
    record = _found(settings, decision_id, "show", unrecorded=unrecorded)
    if as_json:
        typer.echo(json.dumps(record))
    else:
        Console().print(record_panel(record))


def _found(settings: LogSettings, decision_id: str, action: str, *, unrecorded: bool) -> dict[str, Any]:
    if not unrecorded:
        _put_on_record(settings, action, {"decision_id": decision_id})
    record = find(settings.directory, decision_id, load_ring(settings.keys))
    if record is None:
        raise AuditCommandError(f"no record of a decision {decision_id}")
    return record


@app.command()
def verify(
    directory: Annotated[Path | None, typer.Argument(metavar="DIR", help="The log directory.")] = None,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option("--checkpoint", help="A checkpoint or index kept elsewhere that must still hold."),
    ] = None,
    vkey: _Vkey = None,
    keys: _Keys = None,
    config: _ConfigFile = None,
    processes: Annotated[int, typer.Option(help="Processes to use; 0 takes one a core.")] = 0,
    as_json: _Json = False,
) -> None:
    """Check every record, chain, tree and signature. Exits 1 and names the first bad record where one is wrong."""
    settings = _settings(config, directory, keys)
    notes = [_text(path) for path in checkpoint or ()]
    started = time.perf_counter()
    report = _verified(settings, _verifier(settings, vkey), notes, processes)
    if as_json:
        typer.echo(json.dumps(verify_data(report)))
    else:
        Console().print(verify_view(report, time.perf_counter() - started))
    raise typer.Exit(0 if report.ok else 1)


def _verified(settings: LogSettings, verifier: Verifier, notes: list[str], processes: int = 0) -> VerifyReport:
    with _progress("verifying") as progress:
        return verify_log(settings.directory, verifier, notes, processes, progress)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AuditCommandError(f"{path}: {getattr(error, 'strerror', None) or 'not a text file'}") from None


@app.command(name="prove")
def prove_record(
    decision_id: Annotated[str, typer.Argument(metavar="ID", help="A decision's id.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The proof file.", show_default="<ID>.proof.json")
    ] = None,
    vkey: _Vkey = None,
    directory: _Dir = None,
    keys: _Keys = None,
    config: _ConfigFile = None,
    unrecorded: _Unrecorded = False,
) -> None:
    """Write a self-contained proof that a record is in the log; it is checked by check-proof, anywhere."""
    settings = _settings(config, directory, keys)
    record = _found(settings, decision_id, "prove", unrecorded=unrecorded)
    proof = prove(settings.directory, record, _verifier(settings, vkey), load_ring(settings.keys))
    path = out or Path(f"{decision_id}.proof.json")
    save_proof(proof, path)
    Console().print(Text(f"{path}: record {proof['index']} with {len(proof['path'])} hashes"))


@app.command(name="check-proof")
def check_proof(
    file: Annotated[Path, typer.Argument(help="A proof file.")],
    vkey: Annotated[str, typer.Option("--vkey", help="The log's public key, or a file of it.", show_default=False)],
    as_json: _Json = False,
) -> None:
    """Check a proof file. Needs no log, only its public key."""
    proved = check_inclusion(load_proof(file), load_verifier(vkey))
    checkpoint = proved.checkpoint
    if as_json:
        value = {"origin": checkpoint.origin, "size": checkpoint.size, "index": proved.index, "record": proved.record}
        typer.echo(json.dumps(value))
        return
    console = Console()
    console.print(record_panel(proved.record))
    line = Text("PROVED", style="bold green")
    line.append(
        f"  record {proved.index} of the {checkpoint.size:,} that {checkpoint.origin} signed", style="not bold"
    )
    console.print(line)


@app.command()
def consistency(
    old: Annotated[Path, typer.Argument(help="An older checkpoint.")],
    new: Annotated[Path, typer.Argument(help="A newer one of the same tree.")],
    vkey: _Vkey = None,
    directory: _Dir = None,
    keys: _Keys = None,
    config: _ConfigFile = None,
) -> None:
    """Check that a newer checkpoint's log only adds to an older one's."""
    settings = _settings(config, directory, keys)
    verifier = _verifier(settings, vkey)
    first, second = (Checkpoint.open(_text(path), [verifier]) for path in (old, new))
    path = prove_consistency(settings.directory, first, second, verifier)
    line = Text("CONSISTENT", style="bold green")
    line.append(f"  {first.size:,} records are the first of {second.size:,} ({len(path)} hashes)", style="not bold")
    Console().print(line)


@app.command()
def export(
    form: Annotated[
        ExportFormat, typer.Option("--format", help="JSON lines, OCSF events or CSV.")
    ] = ExportFormat.JSONL,
    since: _Since = "",
    until: _Until = "",
    out: _Out = None,
    directory: _Dir = None,
    keys: _Keys = None,
    config: _ConfigFile = None,
    unrecorded: _Unrecorded = False,
) -> None:
    """Write the records of a period. The text of each JSON line is exactly what the log's tree is over."""
    settings = _settings(config, directory, keys)
    query = Query(since=_time(since), until=_time(until))
    if not unrecorded:
        _put_on_record(settings, "export", {"format": form.value, "since": query.since, "until": query.until})
    with _progress("reading") as progress:
        found = scan(settings.directory, query, load_ring(settings.keys), progress)
        lines: Iterable[str] = (text.decode() + "\n" for text, _ in found)
        if form is not ExportFormat.JSONL:
            records = (record for _, record in found)
            lines = ocsf_lines(records) if form is ExportFormat.OCSF else csv_lines(records)
        count = _emit(lines, out)
    if out:
        Console(stderr=True).print(Text(f"{out}: {count:,} lines", style="dim"))


@app.command()
def report(
    since: _Since = "30d",
    until: _Until = "",
    form: Annotated[ReportFormat, typer.Option("--format", help="Text, CSV or HTML.")] = ReportFormat.TEXT,
    out: _Out = None,
    classes: Annotated[Path | None, typer.Option(help="JSON file: resource type to class of data.")] = None,
    vkey: _Vkey = None,
    directory: _Dir = None,
    keys: _Keys = None,
    config: _ConfigFile = None,
    unrecorded: _Unrecorded = False,
) -> None:
    """Make an access review: who accessed which class of data, how often, why, and what was denied."""
    settings = _settings(config, directory, keys)
    query = Query(since=_time(since), until=_time(until))
    names = _classes(classes)
    if not unrecorded:
        _put_on_record(settings, "report", {"since": query.since, "until": query.until})
    verifier = _verifier(settings, vkey)
    checked = _verified(settings, verifier, [])
    with _progress("reading") as progress:
        found = scan(settings.directory, query, load_ring(settings.keys), progress)
        result = review((record for _, record in found), query.since, query.until, names)
    verdict = (
        f"All {checked.records:,} records of the log were verified against its signatures."
        if checked.ok
        else "THE LOG DID NOT VERIFY: run pdp audit verify before relying on this."
    )
    if form is ReportFormat.TEXT:
        console = Console(file=out.open("w", encoding="utf-8")) if out else Console()
        console.print(review_view(result))
        console.print(Text(verdict, style="dim" if checked.ok else "bold red"))
    elif form is ReportFormat.CSV:
        _emit((_csv_line(row) for row in csv_rows(result)), out)
    else:
        made = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        _emit([html_page(result, verifier.name, made, verdict, sound=checked.ok)], out)
    raise typer.Exit(0 if checked.ok else 1)


def _csv_line(cells: list[str]) -> str:
    return ",".join('"' + cell.replace('"', '""') + '"' for cell in cells) + "\r\n"


def _classes(path: Path | None) -> dict[str, str]:
    if path is None:
        return {}
    try:
        value = json.loads(_text(path))
        return {str(kind): str(name) for kind, name in value.items()}
    except (ValueError, AttributeError):
        raise AuditCommandError(f"{path}: not a JSON object of resource types") from None


@app.command()
def keygen(
    name: Annotated[str, typer.Option(help="The log's name, such as example.com/pdp.", show_default=False)] = "",
    pseudonym: Annotated[bool, typer.Option("--pseudonym", help="Make the next pseudonym key.")] = False,
    encryption: Annotated[bool, typer.Option("--encryption", help="Make the next encryption key.")] = False,
    keys: _Keys = None,
    config: _ConfigFile = None,
) -> None:
    """Make keys. With --name, a new log's signing key and its first pseudonym key."""
    folder = load_config(config, os.environ, {"audit.keys": keys}).audit.keys
    console = Console()
    if not (name or pseudonym or encryption):
        raise AuditCommandError("say what to make: --name, --pseudonym or --encryption")
    if name:
        if (folder / SIGNING).exists():
            raise AuditCommandError(f"{folder / SIGNING} exists; a log keeps its signing key")
        console.print(Text(f"{folder / VKEY}: ") + Text(generate_signing(folder, name).vkey, style="cyan"))
    if pseudonym or (name and not load_pseudonyms(folder)):
        console.print(Text(f"{generate_secret(folder, PSEUDONYM)}: pseudonyms of new records are made with it"))
    if encryption:
        console.print(Text(f"{generate_secret(folder, ENCRYPTION)}: new segments are encrypted under it"))


@app.command()
def ship(
    otlp: Annotated[str, typer.Option(help="OTLP/HTTP logs endpoint, such as http://127.0.0.1:4318/v1/logs.")] = "",
    redis_url: Annotated[str, typer.Option("--redis", help="Redis URL.")] = "",
    stream: Annotated[str, typer.Option(help="The Redis stream to append to.")] = "pdp:audit",
    cursor: Annotated[
        Path | None, typer.Option(help="Where to keep the place reached.", show_default="in the log")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Ship what is there and stop.")] = False,
    directory: _Dir = None,
    keys: _Keys = None,
    config: _ConfigFile = None,
    unrecorded: _Unrecorded = False,
) -> None:
    """Forward records, at least once each, to an OTLP endpoint or a Redis stream."""
    settings = _settings(config, directory, keys)
    if bool(otlp) == bool(redis_url):
        raise AuditCommandError("name one sink: --otlp or --redis")
    if not unrecorded:
        _put_on_record(settings, "ship", {"sink": "otlp" if otlp else "redis", "stream": "" if otlp else stream})
    sink: Sink = OtlpLogs(otlp) if otlp else RedisStream(_redis(redis_url), stream)
    place = cursor or settings.directory / f"shipped-{'otlp' if otlp else 'redis'}.json"
    shipper = Shipper(settings.directory, sink, place, load_ring(settings.keys))
    if once:
        Console(stderr=True).print(Text(f"records shipped: {shipper.run_once():,}", style="dim"))
    else:
        shipper.run(threading.Event())


def _redis(url: str) -> Any:
    import redis  # noqa: PLC0415  only this command needs it

    return redis.Redis.from_url(url, socket_timeout=10.0, socket_connect_timeout=5.0)

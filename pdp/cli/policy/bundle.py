"""``pdp policy bundle``: a policy as one file, signed by those who approve it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from pdp.cli.policy.options import DEFAULT_FOLDER, AsJson, Folder
from pdp.core.errors import PdpError
from pdp.engine.matcher import CompiledEngine
from pdp.policy import assemble
from pdp.policy import bundle as bundles
from pdp.policy.archive import ARCHIVE_LIMIT
from pdp.policy.files import is_policy_file
from pdp.policy.problems import Problems
from pdp.signing.keyfiles import load_signer, load_verifier, write_secret
from pdp.signing.note import Signer

app = typer.Typer(no_args_is_help=True, help="A policy as one file, signed by those who approve it.")
BundleFile = Annotated[Path, typer.Argument(help="The bundle.")]
OutOption = Annotated[Path | None, typer.Option("--out", help="Write here.", show_default="in place")]
KeyOption = Annotated[Path, typer.Option("--key", help="File of the signing key, as keygen writes it.")]
KeysOption = Annotated[
    list[str] | None, typer.Option("--key", help="Verifier key, as text or file; may be repeated.")
]


class BundleError(PdpError):
    """A bundle or key file that cannot be read or written."""


@app.command()
def keygen(
    name: Annotated[str, typer.Argument(help="Who signs with it, such as alice@example.com.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the two files.")] = Path(),
) -> None:
    """Make a key pair: NAME.key, to be kept secret, and NAME.vkey, for `policy.bundle_keys`."""
    signer = Signer.generate(name)
    stem = name.replace("/", "_")
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        write_secret(out / f"{stem}.key", signer.text())
    except FileExistsError:
        raise BundleError(f"{out / stem}.key exists; a key is never overwritten") from None
    (out / f"{stem}.vkey").write_text(signer.verifier.vkey + "\n", encoding="ascii")
    typer.echo(signer.verifier.vkey)


@app.command()
def build(
    folder: Folder = DEFAULT_FOLDER,
    out: Annotated[Path, typer.Option("--out", help="Write here.")] = Path("policy.bundle"),
    serial: Annotated[
        int, typer.Option(min=0, help="Number of the release; a service takes none that is lower than its own.")
    ] = 0,
) -> None:
    """Make an unsigned bundle of a valid policy folder. The same folder gives the same bytes, anywhere."""
    contents = bundles.read_files(folder)
    policy = {path: it for path, it in contents.items() if is_policy_file(path)}
    snapshot = assemble(policy, CompiledEngine(), Problems())
    _write(out, bundles.build(contents, serial))
    typer.echo(f"{out}: {len(contents)} files, {len(snapshot.rules)} rules, {snapshot.revision}")


@app.command()
def sign(file: BundleFile, key: KeyOption, out: OutOption = None) -> None:
    """Add a signature; those that are there stay. Look at what you sign first: `inspect`, `diff`."""
    signer = load_signer(key)
    _write(out or file, bundles.sign(read_bundle(file), signer))
    typer.echo(f"{out or file}: signed by {signer.verifier.name}")


@app.command()
def verify(
    file: BundleFile,
    keys: KeysOption = None,
    signatures: Annotated[int, typer.Option(min=1, help="How many different signers are needed.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Check a bundle as a service would that knows these keys. Exits 1, and says why, where it would be refused."""
    known = tuple(map(load_verifier, keys or ()))
    opened = bundles.verify(read_bundle(file), bundles.Trust(known, signatures))
    names = [key.name for key in opened.signers(known)]
    if as_json:
        Console().print_json(data={"valid": True, "revision": opened.revision, "signed_by": names})
    else:
        Console(highlight=False).print(
            f"[green]valid[/]: {opened.revision}, signed by {escape(', '.join(names))}", soft_wrap=True
        )


@app.command()
def inspect(file: BundleFile, as_json: AsJson = False) -> None:
    """Show what a bundle holds, every byte of it checked against its manifest; signatures are named, not checked."""
    opened = bundles.open_bundle(read_bundle(file))
    if as_json:
        Console().print_json(data=_data(opened))
        return
    console = Console(highlight=False)
    console.print(f"[dim]revision[/] {opened.revision}", soft_wrap=True)
    console.print(f"[dim]serial[/]   {opened.serial}")
    names = ", ".join(opened.claimed) or "nobody"
    console.print(f"[dim]signed[/]   by {escape(names)} [dim](not checked; see verify)[/]", soft_wrap=True)
    for path, content in opened.files.items():
        console.print(f"{len(content):>10,} {path}", soft_wrap=True)


def read_bundle(file: Path) -> bytes:
    """Read a bundle's bytes, one more than any bundle has at most.

    Raises:
        BundleError: the file cannot be read.
    """
    try:
        with file.open("rb") as source:
            return source.read(ARCHIVE_LIMIT + 1)
    except OSError as error:
        raise BundleError(f"{file}: {error.strerror}") from None


def _write(file: Path, data: bytes) -> None:
    """Put a bundle in its place at once: whoever watches it never sees half of it."""
    part = file.with_name(f".{file.name}.part")
    try:
        part.write_bytes(data)
        part.replace(file)
    except OSError as error:
        raise BundleError(f"{file}: {error.strerror}") from None


def _data(opened: bundles.Bundle) -> dict[str, Any]:
    return {
        "revision": opened.revision,
        "serial": opened.serial,
        "claimed_signers": list(opened.claimed),
        "files": {path: len(content) for path, content in opened.files.items()},
    }

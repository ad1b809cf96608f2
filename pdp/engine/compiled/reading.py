"""Reading a path of a request."""

from __future__ import annotations

from typing import cast

from pdp.engine.compiled.conditions import Path
from pdp.engine.compiled.index import Reader
from pdp.engine.compiled.templates import Templates
from pdp.engine.compiled.writing import Writer, read


def source_of(path: Path, writer: Writer) -> str:
    """The source that reads a path. The outcome is not guarded: the caller checks that it is text."""
    source = f"r{path.position}"
    for number, name in enumerate(path.attributes):
        if number == 0:
            source = read(source, source, name)
        else:
            source = read(f"(b{number} := {writer.guarded(source)})", f"b{number}", name)
    return source


def reader_of(path: Path, writer: Writer, templates: Templates) -> Reader:
    """A function of the request that gives the text at a path, and raises where there is none."""
    value = source_of(path, writer)
    text = f"def reader({templates.arguments}):\n k = {value}\n return k if type(k) is str else {writer.refusal}\n"
    return cast("Reader", templates.define(text, "reader"))

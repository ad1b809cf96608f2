"""Results as JUnit XML, which GitLab, GitHub actions and Jenkins show beside a change."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from xml.etree import ElementTree as ET

from pdp.workbench.testing.running import Result


def junit_xml(results: Iterable[Result], seconds: float) -> str:
    """Write results as one ``testsuites`` document; those of one file must stand together."""
    root = ET.Element("testsuites", name="pdp policy test", time=f"{seconds:.3f}")
    for file, found in groupby(results, key=lambda it: it.case.file):
        group = tuple(found)
        failed = sum(not it.passed for it in group)
        suite = ET.SubElement(root, "testsuite", name=file, tests=str(len(group)), failures=str(failed), errors="0")
        for result in group:
            _add(suite, result)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _add(suite: ET.Element, result: Result) -> None:
    case = result.case
    element = ET.SubElement(
        suite, "testcase", classname=case.file, name=case.name, file=case.file, line=str(case.line)
    )
    if not result.passed:
        message = "; ".join(f"{it.field}: expected {it.expected}, found {it.found}" for it in result.mismatches)
        ET.SubElement(element, "failure", message=message).text = f"{case.file}:{case.line}: {message}"

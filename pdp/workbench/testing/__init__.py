"""The policy's own tests: tables of cases in ``tests/*.yaml`` of a policy folder, read, run and explained.

``reading`` makes suites of the files, ``running`` asks the policy and compares; docs/policy-workbench.md shows the
format.
"""

from pdp.workbench.testing.cases import Case, Suite
from pdp.workbench.testing.checking import Mismatch, check, shown
from pdp.workbench.testing.reading import read_suites
from pdp.workbench.testing.running import Result, run

__all__ = ["Case", "Mismatch", "Result", "Suite", "check", "read_suites", "run", "shown"]

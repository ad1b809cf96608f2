"""Mutation testing of a policy: each small change of a rule that the policy's own tests should notice.

``conditions`` and ``mutants`` make the changes, ``applying`` makes a revision with one of them, ``campaign`` runs the
tests against each, ``equivalence`` proves that a survivor changes nothing, ``workers`` shares the work out.
"""

from pdp.workbench.mutate.campaign import Campaign, Verdict
from pdp.workbench.mutate.mutants import Mutant, mutants_of
from pdp.workbench.mutate.workers import Tally, mutate

__all__ = ["Campaign", "Mutant", "Tally", "Verdict", "mutants_of", "mutate"]

"""Invariants: stated once, proved of every revision."""

from pdp.workbench.verify.invariants import FILE, Invariant, read_invariants
from pdp.workbench.verify.prove import Counterexample, Prover, Result, Status

__all__ = ["FILE", "Counterexample", "Invariant", "Prover", "Result", "Status", "read_invariants"]

"""What the tests reach: rules, both sides of each comparison, and who does what to which type of record."""

from pdp.workbench.coverage.measure import Coverage, RuleCoverage, Side, measure

__all__ = ["Coverage", "RuleCoverage", "Side", "measure"]

"""Reasoning over everything a set of conditions can read, by a finite abstraction of the schema's ranges.

``space`` abstracts attributes to finitely many values, ``translate`` makes formulas over them of conditions, and
``search`` finds values that satisfy formulas, proves that there are none, or finds those that change least.
"""

"""Traces, metrics and logs. What is told here names no person: subjects appear as keyed pseudonyms, or not at all."""

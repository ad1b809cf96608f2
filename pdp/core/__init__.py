"""The decision itself: pure and total, from (request, attributes, policy snapshot, now) to a Decision.

Nothing here does I/O, reads a clock or imports more than the standard library. ``decide.decide`` is where a
decision is made.
"""

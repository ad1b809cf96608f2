"""``pdp policy diff``: what a change of the policy says, and what it does."""

from __future__ import annotations

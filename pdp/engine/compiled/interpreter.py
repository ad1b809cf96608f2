"""pycasbin's own evaluation of one row, for what is not compiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from casbin.core_enforcer import CoreEnforcer
from casbin.util import SimpleEval, generate_conditional_g_function, generate_g_function, util

from pdp.engine.compiled.writing import Fields

Functions = Mapping[str, Callable[..., Any]]


class Interpreter:
    """Evaluates rows the way pycasbin does.

    Args:
        request: the request's tokens.
        policy: the policy's tokens.
        matcher: the matcher's text as the loaded model holds it.
        functions: gives the functions to evaluate with.
        evaluating: a context to evaluate in.
    """

    def __init__(
        self,
        request: list[str],
        policy: list[str],
        matcher: str,
        functions: Callable[[], Functions],
        evaluating: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._evaluating = evaluating
        self._request = request
        self._policy = policy
        self._matcher = matcher
        self._functions = functions
        self._rules = util.get_eval_value(matcher)

    def evaluate(self, row: Fields, request: tuple[object, ...]) -> bool:
        """Whether a row matches.

        Raises:
            Exception: whatever pycasbin raises on this row.
        """
        if len(row) != len(self._policy):
            raise RuntimeError("invalid policy size")
        values = dict(zip(self._policy, row, strict=True))
        text = self._matcher
        if self._rules:
            text = util.replace_eval(text, [util.escape_assertion(values[name]) for name in self._rules])
        # An evaluator keeps the names it evaluates with: one per call, or threads would mix their requests.
        evaluator: SimpleEval = CoreEnforcer._get_expression(text, dict(self._functions()))  # noqa: SLF001
        with self._evaluating():
            result = evaluator.eval({**dict(zip(self._request, request, strict=True)), **values})
        if isinstance(result, bool | float):
            return result != 0
        raise RuntimeError("matcher result should be bool, int or float")

    def test_of(self, row: Fields) -> Callable[..., bool]:
        """The test of one row."""

        def test(*request: object) -> bool:
            return self.evaluate(row, request)

        return test


def functions_of(enforcer: CoreEnforcer) -> Functions:
    """The functions an enforcer evaluates with."""
    functions = dict(enforcer.fm.get_functions())
    for name, assertion in (enforcer.model["g"] or {}).items():
        if enforcer.rm_map:
            functions[name] = generate_g_function(assertion.rm)
        if enforcer.cond_rm_map:
            functions[name] = generate_conditional_g_function(assertion.cond_rm)
    return functions

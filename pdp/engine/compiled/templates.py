"""Code objects, shared by every test whose source is the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from pdp.engine.compiled.errors import NotCompilableError

Test = Callable[..., Any]
Factory = Callable[..., Test]
_MAX_FACTORIES: Final = 20_000
_BUILTINS: Final = {kind.__name__: kind for kind in (type, dict, str, bool, tuple, Exception)}


class Templates:
    """Factories of tests by source.

    A source is written by a :class:`~pdp.engine.compiled.writing.Writer` and by nothing else: it consists of a
    fixed vocabulary and of identifiers. Literals are arguments of the factory, never part of the source.
    """

    __slots__ = ("_factories", "_namespace", "arguments")

    def __init__(self, arity: int, helpers: dict[str, object]) -> None:
        self.arguments = ", ".join(f"r{position}" for position in range(arity))
        self._namespace: dict[str, object] = {"__builtins__": dict(_BUILTINS)}
        self._namespace.update(helpers)
        self._factories: dict[tuple[str, int], Factory] = {}

    def factory(self, source: str, slots: int) -> Factory:
        """The factory for a source with a number of slots: literals in, test out."""
        return self.define_once(f" def condition({self.arguments}):\n  return {source}\n return condition\n", slots)

    def define_once(self, body: str, slots: int) -> Factory:
        """The function of a number of slots, ``c0``, ``c1``, ..., with a body: one for each body."""
        key = body, slots
        factory = self._factories.get(key)
        if factory is None:
            if len(self._factories) >= _MAX_FACTORIES:
                self._factories.clear()
            literals = ", ".join(f"c{number}" for number in range(slots))
            factory = self._factories[key] = cast("Factory", self.define(f"def make({literals}):\n{body}", "make"))
        return factory

    def define(self, text: str, name: str, extra: dict[str, object] | None = None) -> object:
        """Define one function from source and return it."""
        scope = {**self._namespace, **(extra or {})}
        try:
            code = compile(text, "<compiled policy>", "exec", dont_inherit=True)
        except (SyntaxError, RecursionError, MemoryError) as error:
            raise NotCompilableError(f"too large to compile: {type(error).__name__}") from None
        exec(code, scope)  # noqa: S102 - the source is written here, from a checked tree, without literals
        # A function that its own globals name would keep a whole revision alive until the collector comes by.
        return scope.pop(name)

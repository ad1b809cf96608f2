"""Text to syntax tree. A recursive descent over a handful of tokens, bounded in length and depth."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from pdp.core.condition.nodes import And, Choices, Compare, ConditionError, Difference, Literal, Node, Not, Or, Ref
from pdp.core.decision import Entity

LENGTH_LIMIT: Final = 4000
_DEPTH_LIMIT: Final = 20
_ENTITIES: Final = frozenset(map(str, Entity))
_COMPARISONS: Final = frozenset({"==", "!=", "<", "<=", ">", ">="})
_TOKEN: Final = re.compile(
    r"""(?P<space>\s+)
      | (?P<ref>r\.[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)
      | (?P<number>(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,9})?(?![A-Za-z0-9_.]))
      | (?P<string>'[^'\n]*'|"[^"\n]*")
      | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<symbol>&&|\|\||==|!=|<=|>=|[<>!(),-])""",
    re.VERBOSE | re.ASCII,
)
# What Casbin's textual rewriting would change inside a literal (``&&``, ``||``, ``!``, ``#``, ``r.``, ``p.``) and
# what has a meaning to Python (a backslash) cannot be written here, so both readings of a condition are the same.
_SAFE_STRING: Final = re.compile(r"[A-Za-z0-9 _:@/+=.,-]*", re.ASCII)
_REWRITTEN: Final = re.compile(r"\b[rp][0-9]*\.")
_HELP: Final = {
    "and": "write &&",
    "or": "write ||",
    "not": "write !",
    "true": "write True",
    "false": "write False",
    "None": "there is no null: a missing attribute is a deny of its own",
}


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


def parse(text: str) -> Node:
    """Read a condition.

    Raises:
        ConditionError: with the position of the first thing that is not in the language.
    """
    if len(text) > LENGTH_LIMIT:
        raise ConditionError(LENGTH_LIMIT, f"a condition of more than {LENGTH_LIMIT} characters", "split the rule")
    parser = _Parser(_tokens(text), len(text))
    node = parser.either(0)
    parser.finish()
    return node


def _tokens(text: str) -> list[_Token]:
    tokens, at = [], 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if not found or found.lastgroup is None:
            raise ConditionError(at, f"unexpected {text[at]!r}")
        if found.lastgroup != "space":
            tokens.append(_Token(found.lastgroup, found.group(), at))
        at = found.end()
    return tokens


class _Parser:
    def __init__(self, tokens: list[_Token], length: int) -> None:
        self._tokens = tokens
        self._at = 0
        self._length = length

    def finish(self) -> None:
        if token := self._peek():
            raise ConditionError(token.start, f"unexpected {token.text!r}", _HELP.get(token.text, ""))

    def either(self, depth: int) -> Node:
        if depth > _DEPTH_LIMIT:
            raise ConditionError(self._offset(), f"nested more than {_DEPTH_LIMIT} deep", "split the rule")
        operands = [self._both(depth)]
        while self._take("||"):
            operands.append(self._both(depth))
        return operands[0] if len(operands) == 1 else Or(operands[0].start, operands[-1].end, tuple(operands))

    def _both(self, depth: int) -> Node:
        operands = [self._negation(depth)]
        while self._take("&&"):
            operands.append(self._negation(depth))
        return operands[0] if len(operands) == 1 else And(operands[0].start, operands[-1].end, tuple(operands))

    def _negation(self, depth: int) -> Node:
        if token := self._take("!"):
            if depth > _DEPTH_LIMIT:
                raise ConditionError(token.start, f"nested more than {_DEPTH_LIMIT} deep", "split the rule")
            operand = self._negation(depth + 1)
            return Not(token.start, operand.end, operand)
        return self._comparison(depth)

    def _comparison(self, depth: int) -> Node:
        left = self._term(depth)
        token = self._peek()
        if token and token.text in _COMPARISONS:
            self._at += 1
            right = self._term(depth)
        elif token and token.text == "in":
            self._at += 1
            right = self._choices()
        else:
            return left
        return Compare(left.start, right.end, token.text, left, right)

    def _term(self, depth: int) -> Node:
        token = self._next("an attribute, a value or (")
        if token.text == "(":
            inner = self.either(depth + 1)
            # The span takes in the parentheses, so that the text of a part reads as it was written.
            return replace(inner, start=token.start, end=self._expect(")").end)
        if token.kind == "ref":
            left = _ref(token)
            if not self._take("-"):
                return left
            other = self._next("an attribute after -")
            right = _ref(other)
            return Difference(left.start, right.end, left, right)
        return _literal(token)

    def _choices(self) -> Node:
        token = self._next("( or an attribute after in")
        if token.kind == "ref":
            return _ref(token)
        if token.text != "(":
            raise ConditionError(token.start, f"unexpected {token.text!r} after in", "write in ('a', 'b')")
        values = [_literal(self._next("a value"))]
        while self._take(","):
            values.append(_literal(self._next("a value")))
        end = self._expect(")").end
        if len(values) == 1:
            raise ConditionError(
                token.start, "a choice of one is a substring test in Casbin", "write == instead of in"
            )
        return Choices(token.start, end, tuple(values))

    def _peek(self) -> _Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _offset(self) -> int:
        token = self._peek()
        return token.start if token else self._length

    def _next(self, wanted: str) -> _Token:
        token = self._peek()
        if token is None:
            raise ConditionError(self._length, f"the condition ends where {wanted} is expected")
        self._at += 1
        return token

    def _take(self, symbol: str) -> _Token | None:
        token = self._peek()
        if token is None or token.text != symbol:
            return None
        self._at += 1
        return token

    def _expect(self, symbol: str) -> _Token:
        token = self._next(symbol)
        if token.text != symbol:
            raise ConditionError(token.start, f"{symbol} expected, not {token.text!r}", _HELP.get(token.text, ""))
        return token


def _ref(token: _Token) -> Ref:
    entities = ", ".join(f"r.{entity}" for entity in Entity)
    if token.kind != "ref":
        raise ConditionError(token.start, f"unexpected {token.text!r}", "only times may be subtracted")
    parts = token.text.split(".")
    if len(parts) != 3 or parts[1] not in _ENTITIES:  # noqa: PLR2004 - r, entity, name
        raise ConditionError(token.start, f"{token.text!r} is no attribute", f"write one of {entities}, then .name")
    if parts[2].startswith("_"):
        raise ConditionError(token.start, f"{token.text!r}: names that start with _ are not attributes")
    return Ref(token.start, token.end, Entity(parts[1]), parts[2])


def _literal(token: _Token) -> Literal:
    if token.kind == "string":
        value = token.text[1:-1]
        if not _SAFE_STRING.fullmatch(value) or _REWRITTEN.search(value):
            raise ConditionError(token.start, "a text with characters or sequences that Casbin rewrites")
        return Literal(token.start, token.end, value)
    if token.kind == "number":
        return Literal(token.start, token.end, float(token.text) if "." in token.text else int(token.text))
    if token.text in ("True", "False"):
        return Literal(token.start, token.end, token.text == "True")
    raise ConditionError(token.start, f"unexpected {token.text!r}", _HELP.get(token.text, ""))

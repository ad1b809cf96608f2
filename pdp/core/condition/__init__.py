"""The condition language of policy rules: the safe subset of Casbin's matcher syntax that a rule may use.

    condition  = or
    or         = and { "||" and }
    and        = not { "&&" not }
    not        = "!" not | comparison
    comparison = term [ ( "==" | "!=" | "<" | "<=" | ">" | ">=" ) term | "in" ( choices | attribute ) ]
    choices    = "(" literal "," literal { "," literal } ")"
    term       = attribute [ "-" attribute ] | literal | "(" or ")"
    attribute  = "r." entity "." name
    literal    = string | number | "True" | "False"

There are no calls, no subscripts and no other arithmetic, so a condition always ends, touches nothing and cannot
grow with an attribute's size beyond ``in``. The same text is what Casbin evaluates: string literals are held to an
alphabet that Casbin's textual rewriting leaves alone.
"""

from pdp.core.condition.check import check
from pdp.core.condition.evaluate import evaluate
from pdp.core.condition.nodes import ConditionError, Node, Ref
from pdp.core.condition.parse import parse

__all__ = ["ConditionError", "Node", "Ref", "check", "evaluate", "parse"]

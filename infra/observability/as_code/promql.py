"""Reads the selectors out of a PromQL expression, for lints: which metrics it asks for and with which matchers.

No validator: promtool is. Text it does not understand raises ValueError, so that a lint never passes by misreading.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

KEYWORDS = frozenset({
    "and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "group_right", "offset", "bool", "atan2", "inf", "nan",
    "start", "end",
})  # fmt: skip
_LABELS = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_TOKEN = re.compile(
    r"\s*(?:(?P<string>\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')|(?P<duration>\d+(?:ms|[smhdwy])(?:\d+(?:ms|[smhdwy]))*)"
    r"|(?P<number>0x[0-9a-fA-F]+|\d+\.?\d*(?:[eE][+-]?\d+)?)|(?P<name>[a-zA-Z_][a-zA-Z0-9_:]*)"
    r"|(?P<operator>=~|!~|!=|==|>=|<=|[-+*/%^<>=(){}\[\],:@]))"
)
_VARIABLES = {"$__rate_interval": "5m", "$__range": "6h", "${__user.login}": "acme"}


@dataclass(frozen=True)
class Selector:
    """One vector selector: the metric's name ('' when only matchers are given) and its matchers (label, operator, value)."""

    metric: str
    matchers: tuple[tuple[str, str, str], ...]


def filled(expression: str) -> str:
    """The expression with Grafana's variables replaced, as Prometheus would get it."""
    for name, value in _VARIABLES.items():
        expression = expression.replace(name, value)
    return re.sub(r"\$\w+|\$\{\w+\}", ".*", expression)


def selectors(expression: str) -> list[Selector]:
    """Every selector of the expression, in order. Raises ValueError for what is not PromQL."""
    tokens = list(_tokens(filled(expression)))
    found: list[Selector] = []
    at = 0
    while at < len(tokens):
        kind, text = tokens[at]
        following = tokens[at + 1][1] if at + 1 < len(tokens) else ""
        if kind == "name" and text.lower() in _LABELS and following == "(":
            at = _closing(tokens, at + 1) + 1
        elif kind == "name" and text.lower() not in KEYWORDS and following != "(" and not _is_aggregation(tokens, at):
            matchers, end = _matchers(tokens, at + 1) if following == "{" else ((), at + 1)
            found.append(Selector(text, matchers))
            at = end
        elif text == "{":
            matchers, at = _matchers(tokens, at)
            found.append(Selector("", matchers))
        else:
            at += 1
    return found


def _is_aggregation(tokens: list[tuple[str, str]], at: int) -> bool:
    """`sum by (x) (…)`: a name that is followed by its grouping."""
    return at + 1 < len(tokens) and tokens[at + 1][1].lower() in {"by", "without"}


def _tokens(expression: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(expression.rstrip()):
        match = _TOKEN.match(expression, at)
        if match is None or match.lastgroup is None:
            raise ValueError(f"not PromQL at {expression[at : at + 20]!r}")
        yield match.lastgroup, match.group(match.lastgroup)
        at = match.end()


def _closing(tokens: list[tuple[str, str]], at: int) -> int:
    while at < len(tokens):
        if tokens[at][1] == ")":
            return at
        at += 1
    raise ValueError("a parenthesis is not closed")


def _matchers(tokens: list[tuple[str, str]], at: int) -> tuple[tuple[tuple[str, str, str], ...], int]:
    """The matchers of the braces that open at `at`, and the position behind them."""
    found, at = [], at + 1
    while at < len(tokens) and tokens[at][1] != "}":
        if tokens[at][1] == ",":
            at += 1
            continue
        if at + 2 >= len(tokens) or tokens[at][0] != "name" or tokens[at + 2][0] != "string":
            raise ValueError("a matcher is not label, operator, string")
        found.append((tokens[at][1], tokens[at + 1][1], tokens[at + 2][1][1:-1]))
        at += 3
    if at >= len(tokens):
        raise ValueError("a brace is not closed")
    return tuple(found), at + 1

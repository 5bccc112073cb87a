"""McCabe's cyclomatic complexity of every function in one Python source text.

Source of the formula: T. J. McCabe, "A Complexity Measure", IEEE Transactions on Software
Engineering SE-2(4), 1976, pp. 308-320. The number of linearly independent paths through a
control graph G with e edges, n vertices and p connected components is ``v(G) = e - n + 2p``;
for one structured routine that equals ``v = d + 1``, where d is the number of its decisions.
A compound predicate with n conditions counts as n decisions, as in the paper.

What counts as a decision in Python:

====================================================  ==========================================
``if``, ``elif``, ``x if c else y``, ``while``        1
``for``, ``async for``                                1
``except`` clause                                     1
``assert``                                            1
``and``, ``or``                                       operands - 1
``for`` in a comprehension                            1, and 1 for each ``if``
``case``                                              1 (``_`` or a bare name: 0), 1 for a guard
====================================================  ==========================================

Functions, coroutines and methods are measured by their bodies. A function or class nested in another
adds nothing to the one around it; a lambda's decisions belong to the function it stands in; decorators
and default values, which run once at the definition, are not counted.
"""

import ast
import warnings
from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
Nested: TypeAlias = Function | ast.ClassDef
Scope: TypeAlias = Nested | ast.Module

ONE_DECISION = frozenset({ast.If, ast.IfExp, ast.While, ast.For, ast.AsyncFor, ast.ExceptHandler, ast.Assert})


class FunctionReport(NamedTuple):
    """One function: its dotted name inside the file, its line, its complexity."""

    name: str
    line: int
    complexity: int


class FileReport(NamedTuple):
    """One source text: its number of lines and its functions in order of their lines."""

    lines: int
    functions: tuple[FunctionReport, ...]


def analyse(source: bytes) -> FileReport | None:
    """Measure every function of a source text; None when it is not valid Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the text's own, e.g. an invalid escape
            module = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    functions = sorted(functions_in(module), key=lambda function: (function.line, function.name))
    return FileReport(lines=source.count(b"\n"), functions=tuple(functions))


def functions_in(module: ast.Module) -> Iterator[FunctionReport]:
    """Measure every function, method and nested function of a module."""
    waiting: list[tuple[Scope, str]] = [(module, "")]
    while waiting:
        scope, name = waiting.pop()
        taken, nested = walk(scope)
        if isinstance(scope, Function):
            yield FunctionReport(name, scope.lineno, complexity=taken + 1)
        prefix = f"{name}." if name else ""
        waiting.extend((inner, prefix + inner.name) for inner in nested)


def walk(scope: Scope) -> tuple[int, list[Nested]]:
    """Count the decisions in a scope's own body, and collect the scopes nested in it."""
    taken = 0
    nested: list[Nested] = []
    nodes: list[ast.AST] = list(scope.body)
    while nodes:
        node = nodes.pop()
        if isinstance(node, Nested):
            nested.append(node)
        else:
            taken += decisions(node)
            nodes.extend(ast.iter_child_nodes(node))
    return taken, nested


def decisions(node: ast.AST) -> int:
    """How many decisions this node itself takes, its children not included."""
    if type(node) in ONE_DECISION:
        return 1
    if isinstance(node, ast.BoolOp):
        return len(node.values) - 1
    if isinstance(node, ast.comprehension):
        return 1 + len(node.ifs)
    if isinstance(node, ast.match_case):
        return int(not is_wildcard(node.pattern)) + int(node.guard is not None)
    return 0


def is_wildcard(pattern: ast.pattern) -> bool:
    """Whether a pattern matches everything: ``_`` or a bare name."""
    return isinstance(pattern, ast.MatchAs) and pattern.pattern is None

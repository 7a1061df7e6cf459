"""Definitions in source code, in a form that says what they do, not how they are written.

Left out: positions, formatting, comments, docstrings, statements without effect, annotations of
functions and inside them. Kept: annotations in class bodies, since those are fields. The form is
the same on every version of Python, which neither `ast.dump` nor bytecode is.
"""

import ast
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
Chain = tuple[str, ...]
"""A dotted name by its parts: `prices.VAT.rate`."""

_FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef


@lru_cache(maxsize=128)
def definitions(source: str) -> dict[str, list[tuple[int, Definition]]]:
    """All definitions of a module, normalised: by qualified name, each with its first line."""
    found: dict[str, list[tuple[int, Definition]]] = {}
    tree = ast.parse(source)
    for name, node in _named(tree, ""):
        first_line = min([node.lineno, *(each.lineno for each in node.decorator_list)])
        found.setdefault(name, []).append((first_line, node))
    _Normaliser().visit(tree)
    return found


def _named(parent: ast.AST, prefix: str) -> Iterator[tuple[str, Definition]]:
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, Definition):
            name = prefix + node.name
            yield name, node
            inner = f"{name}." if isinstance(node, ast.ClassDef) else f"{name}.<locals>."
            yield from _named(node, inner)
        else:
            yield from _named(node, prefix)


def text_of(node: Any) -> str:
    """What is empty is left out, so that a field which a later Python adds changes nothing."""
    if isinstance(node, ast.AST):
        fields = sorted(ast.iter_fields(node))
        kept = [f"{name}={text_of(value)}" for name, value in fields if _is_kept(name, value)]
        return f"{type(node).__name__}({', '.join(kept)})"
    if isinstance(node, list):
        return f"[{', '.join(map(text_of, node))}]"
    if type(node) is int:
        return hex(node)  # decimal digits are limited
    return ascii(node)  # what `repr` escapes depends on the version of Unicode


def _is_kept(name: str, value: object) -> bool:
    return value is not None and value != [] and name not in {"ctx", "kind", "type_comment"}


def chains(node: ast.AST) -> set[Chain]:
    """The names that are read, each with the attributes that are asked of it."""
    found: set[Chain] = set()
    _collect(node, found)
    return found


def class_chains(node: ast.ClassDef) -> set[Chain]:
    """Those read while the class is made: bases, decorators, annotations, defaults."""
    found: set[Chain] = set()
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            found |= class_chains(child)
        elif not isinstance(child, _FUNCTIONS):
            _collect(child, found)
    return found


def base_names(node: ast.ClassDef) -> set[str]:
    return {name for base in node.bases for name, *_ in chains(base)}


def _collect(node: ast.AST, found: set[Chain]) -> None:
    chain = _chain(node)
    if chain:
        found.add(chain)
        return
    for child in ast.iter_child_nodes(node):
        _collect(child, found)


def _chain(node: ast.AST) -> Chain:
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        return (node.id,)
    if isinstance(node, ast.Attribute):
        before = _chain(node.value)
        return (*before, node.attr) if before else ()
    return ()


def bound_names(node: ast.AST) -> set[str]:
    """What the definition itself gives a meaning to, anywhere inside."""
    found: set[str] = set()
    for each in ast.walk(node):
        if isinstance(each, ast.Name) and not isinstance(each.ctx, ast.Load):
            found.add(each.id)
        elif isinstance(each, ast.arg):
            found.add(each.arg)
        elif isinstance(each, Definition):
            found.add(each.name)
        elif isinstance(each, ast.alias):
            found.add(each.asname or each.name.partition(".")[0])
        elif isinstance(each, ast.MatchAs | ast.MatchStar | ast.ExceptHandler) and each.name:
            found.add(each.name)
        elif isinstance(each, ast.MatchMapping) and each.rest:
            found.add(each.rest)
    return found


class _Normaliser(ast.NodeTransformer):
    """Works in place. A statement for which None is returned is dropped."""

    def __init__(self) -> None:
        self._in_class = False

    def visit_FunctionDef(self, node: Any) -> ast.AST:
        node.returns = None
        for argument in ast.walk(node.args):
            if isinstance(argument, ast.arg):
                argument.annotation = None
        return self._visit_body(node, in_class=False)

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._visit_body(node, in_class=True)

    def _visit_body(self, node: ast.AST, *, in_class: bool) -> ast.AST:
        before, self._in_class = self._in_class, in_class
        self.generic_visit(node)
        self._in_class = before
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_Pass(self, node: ast.Pass) -> None:
        """Dropped."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        self.generic_visit(node)
        if self._in_class:
            node.annotation = _Unquoted().visit(node.annotation)
            return node
        return ast.Assign(targets=[node.target], value=node.value) if node.value else None

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        """Versions cut the text between the fields differently."""
        self.generic_visit(node)
        values: list[Any] = []
        for value in node.values:
            last = values[-1] if values else None
            if isinstance(value, ast.Constant) and isinstance(last, ast.Constant):
                values[-1] = ast.Constant(str(last.value) + str(value.value))
            else:
                values.append(value)
        node.values = [each for each in values if getattr(each, "value", None) != ""]
        return node


class _Unquoted(ast.NodeTransformer):
    """Names in quotes are names; the values of a Literal and the rest of Annotated are not."""

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if not isinstance(node.value, str):
            return node
        try:
            return ast.parse(node.value, mode="eval").body
        except SyntaxError:
            return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        form = (_chain(node.value) or ("",))[-1]
        if form == "Annotated" and isinstance(node.slice, ast.Tuple):
            node.slice.elts[0] = self.visit(node.slice.elts[0])
        elif form != "Literal":
            self.generic_visit(node)
        return node

"""The declared door of the core agrees with the module as built: classes, methods, parameters, docstrings."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

import twinplane
from twinplane import _dataplane  # noqa: TID251 - the door itself is what is tried

STUB = ast.parse((Path(twinplane.__file__).parent / "_dataplane.pyi").read_text(encoding="utf-8"))
DECLARED = {each.name: each for each in STUB.body if isinstance(each, ast.ClassDef)}


def _public(names: list[str]) -> set[str]:
    return {name for name in names if not name.startswith("_")}


def test_the_module_holds_exactly_the_declared_names() -> None:
    assert _public(dir(_dataplane)) == set(DECLARED)


@pytest.mark.parametrize("name", DECLARED)
def test_a_class_has_exactly_the_declared_members(name: str) -> None:
    built = getattr(_dataplane, name)
    if issubclass(built, Exception):
        assert not [each for each in DECLARED[name].body if not isinstance(each, ast.Expr)]
        return
    methods = {each.name for each in DECLARED[name].body if isinstance(each, ast.FunctionDef)}
    fields = {
        each.target.id
        for each in DECLARED[name].body
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
    }
    assert _public(dir(built)) == methods | fields
    assert built.__doc__


@pytest.mark.parametrize(
    "method", [each for each in DECLARED["Core"].body if isinstance(each, ast.FunctionDef)], ids=lambda each: each.name
)
def test_a_method_takes_exactly_the_declared_parameters(method: ast.FunctionDef) -> None:
    built = inspect.signature(getattr(_dataplane.Core, method.name))
    assert list(built.parameters) == [each.arg for each in method.args.args]
    required = [each.name for each in built.parameters.values() if each.default is inspect.Parameter.empty]
    assert required == [each.arg for each in method.args.args[: len(method.args.args) - len(method.args.defaults)]]


@pytest.mark.parametrize("name", ["Core", "Applied", "Status"])
def test_the_classes_are_frozen_and_made_by_the_core_alone(name: str) -> None:
    with pytest.raises(TypeError):
        getattr(_dataplane, name)()

"""The reference: a page for each public package, written from its docstrings."""

import ast
import importlib
import inspect
import pkgutil
import re
from dataclasses import dataclass
from functools import cache, cached_property
from types import ModuleType
from typing import Any

import embrm
from docs.website.docstrings import docstring_to_markdown
from docs.website.pictures import PICTURES, picture_of

# Modules that are not packages, and that users import from.
MODULES = (
    "embrm.exceptions",
    "embrm.integrations.areal",
    "embrm.integrations.openrlhf",
    "embrm.integrations.swift",
    "embrm.integrations.verl",
    "embrm.messages",
    "embrm.policy.contrastive",
    "embrm.policy.displays",
    "embrm.policy.label_sources",
    "embrm.policy.likelihood",
    "embrm.policy.selection",
    "embrm.policy.self_training",
    "embrm.policy.sweeps",
    "embrm.policy.users",
    "embrm.serve.app",
    "embrm.serve.settings",
)
# Commands have a page of their own; what HTTP services share is not for users.
NOT_HERE = ("embrm.cli", "embrm.web")
# Of scikit-learn's own methods, what everybody knows.
_COMMON = {"get_params", "set_params", "get_metadata_routing"}


@dataclass(frozen=True)
class Entry:
    """A public name: where it is documented, and what it is."""

    page: str
    name: str
    value: Any

    @property
    def path(self) -> str:
        """`embrm.heads.LinearBradleyTerry`: the import path, and the anchor."""
        return f"{self.page}.{self.name}"


@cache
def packages() -> dict[str, ModuleType]:
    """Public packages with `__all__`, those nearest to the root first."""
    found = [
        module.name
        for module in pkgutil.walk_packages(embrm.__path__, "embrm.")
        if module.ispkg and "._" not in module.name
    ]
    names = ["embrm", *sorted(found, key=lambda name: name.count(".")), *MODULES]
    modules = {name: importlib.import_module(name) for name in names}
    return {
        name: module
        for name, module in modules.items()
        if not name.startswith(NOT_HERE)
        and (hasattr(module, "__all__") or name in MODULES)
    }


def public_names(package: str) -> list[str]:
    """`__all__`, or what a module defines itself."""
    module = packages()[package]
    own = [
        name
        for name, value in vars(module).items()
        if getattr(value, "__module__", None) == package and name[0] != "_"
    ]
    return list(getattr(module, "__all__", own))


@cache
def entries() -> dict[str, list[Entry]]:
    """Entries by page; what several packages export stands with the first of them."""
    seen: dict[Any, str] = {}
    pages: dict[str, list[Entry]] = {}
    for package, module in packages().items():
        for name in public_names(package):
            value = getattr(module, name)
            if inspect.ismodule(value) or name == "__version__":
                continue
            key = value if callable(value) else (name, id(value))
            if seen.setdefault(key, package) == package:
                pages.setdefault(package, []).append(Entry(package, name, value))
    return pages


@cache
def places() -> dict[str, Entry]:
    """Entries by every path that leads to them, and by their bare names."""
    found: dict[str, Entry] = {}
    by_value = {
        (entry.name, id(entry.value)): entry
        for page in entries().values()
        for entry in page
    }
    for package, module in packages().items():
        for name in public_names(package):
            entry = by_value.get((name, id(getattr(module, name))))
            if entry is not None:
                found[f"{package}.{name}"] = entry
                found.setdefault(name, entry)
                kind = getattr(entry.value, "__module__", None)
                found.setdefault(f"{kind}.{name}", entry)
    return found


def page_name(package: str) -> str:
    """`embrm.heads` has the page `embrm.heads.md`."""
    return f"{package}.md"


def link(name: str) -> str:
    """Write a name as code, linked to its entry where it has one."""
    bare, _, method = name.partition(".") if name[:1].isupper() else (name, "", "")
    entry = places().get(name) or places().get(bare)
    if entry is None or (entry.value is cached_property):
        return f"`{name}`"
    anchor = entry.path
    if method and callable(getattr(entry.value, method, None)):
        anchor = f"{anchor}.{method}" if method in vars(entry.value) else anchor
    return f"[`{name}`]({page_name(entry.page)}#{anchor})"


def signature(name: str, value: Any) -> str:
    """Write a call with its parameters and defaults, a line each if it is long."""
    try:
        parameters = list(inspect.signature(value).parameters.values())
    except (TypeError, ValueError):
        return name
    words, keyword_only = [], False
    for one in parameters:
        if one.name == "self":
            continue
        if one.kind is one.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            words.append("*")
        keyword_only |= one.kind is one.VAR_POSITIONAL
        stars = {one.VAR_POSITIONAL: "*", one.VAR_KEYWORD: "**"}.get(one.kind, "")
        default = "" if one.default is one.empty else f"={_default(one.default)}"
        words.append(f"{stars}{one.name}{default}")
    line = f"{name}({', '.join(words)})"
    if len(line) <= 72:
        return line
    return f"{name}(\n    " + ",\n    ".join(words) + ",\n)"


def _default(value: Any) -> str:
    text = repr(value)
    return text if " at 0x" not in text and len(text) < 60 else "..."


def _constant(entry: Entry) -> str:
    """Write what stands below a constant in its module, and what it holds."""
    module = packages()[entry.page]
    source = inspect.getsource(_defining(module, entry.name))
    body = ast.parse(source).body
    words = ""
    for place, node in enumerate(body[:-1]):
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        names = {getattr(target, "id", None) for target in targets}
        after = body[place + 1]
        if entry.name in names and isinstance(after, ast.Expr):
            words = str(getattr(getattr(after, "value", None), "value", ""))
    value = entry.value
    if isinstance(value, dict):
        held = ", ".join(f"`{key}`" for key in value)
    elif isinstance(value, (tuple, list, frozenset)):
        held = ", ".join(f"`{getattr(one, 'name', one)}`" for one in value)
    else:
        held = f"`{str(value)[:200]}`"
    return f"{docstring_to_markdown(words, link)}\nHolds: {held}\n"


def _defining(module: ModuleType, name: str) -> ModuleType:
    """Follow `from ... import name` to the module that assigns it."""
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _defining(importlib.import_module(node.module), alias.name)
    return module


def _methods(cls: type) -> tuple[dict[str, Any], list[str]]:
    """Public methods with a docstring that the class defines; names of inherited."""
    own, inherited = {}, []
    bases = [base for base in cls.__mro__ if base.__module__.startswith("embrm")]
    for name in sorted({name for base in bases for name in vars(base)}):
        value = inspect.getattr_static(cls, name)
        plain = getattr(value, "__func__", getattr(value, "fget", value))
        plain = getattr(plain, "func", plain)
        if name[0] == "_" or name in _COMMON or not inspect.isroutine(plain):
            continue
        home = next(base for base in bases if name in vars(base))
        documented = next(
            (
                base
                for base in cls.__mro__
                if base is home or base.__name__ in places()
                if name in vars(base)
            ),
            home,
        )
        if home is cls or documented.__name__ not in places():
            own[name] = plain
        else:
            inherited.append(name)
    return own, inherited


def _entry(entry: Entry) -> str:
    value = entry.value
    head = f"## {entry.name} {{ #{entry.path} }}\n"
    if not callable(value) or not inspect.getdoc(value):
        return f"{head}\n{_constant(entry)}"
    kind = "class " if inspect.isclass(value) else ""
    parts = [head, f"```python\n{kind}{signature(entry.name, value)}\n```\n"]
    parts.append(docstring_to_markdown(inspect.getdoc(value) or "", link))
    if entry.name in PICTURES:
        parts.append(picture_of(entry.name))
    if inspect.isclass(value) and not issubclass(value, BaseException):
        own, inherited = _methods(value)
        for name, method in own.items():
            doc = docstring_to_markdown(inspect.getdoc(method) or "", link)
            if not inspect.getdoc(method):
                continue
            raw = inspect.getattr_static(value, name)
            is_value = isinstance(raw, (property, cached_property))
            shown = f"`{name}`" if is_value else f"`{name}()`"
            parts.append(f"### {shown} {{ #{entry.path}.{name} }}\n")
            if not is_value:
                parts.append(f"```python\n{signature(name, method)}\n```\n")
            parts.append(doc)
        if inherited:
            names = ", ".join(f"`{name}`" for name in inherited)
            parts.append(f"Inherited: {names}.\n")
    return "\n".join(parts)


def page(package: str) -> str:
    """Write the page of a package."""
    words = inspect.getdoc(packages()[package]) or ""
    own = entries()[package]
    elsewhere = [
        link(f"{package}.{name}")
        for name in public_names(package)
        if f"{package}.{name}" in places()
        and places()[f"{package}.{name}"].page != package
    ]
    rows = [f"| {link(one.path)} | {summary(one.value)} |" for one in own]
    table = "\n".join(["| name | what it is |", "|---|---|", *rows])
    table = table.replace(f"[`{package}.", "[`").replace(
        f"({page_name(package)}#", "(#"
    )
    also = f"Also here: {', '.join(elsewhere)}.\n" if elsewhere else ""
    title = f"# {package}\n\n"
    text = docstring_to_markdown(words, link)
    return "\n".join([title + text, table, "", also, *map(_entry, own)])


def summary(value: Any) -> str:
    """Give the first sentence of a docstring, in one line of a table."""
    doc = inspect.getdoc(value) if callable(value) else None
    first = " ".join((doc or "A constant.").split("\n\n")[0].split())
    first = re.sub(r":math:`([^`]+)`", r"$\1$", first)
    return re.sub(r"(?<!\\)\|", r"\\|", first)


def pages() -> dict[str, str]:
    """All pages by name, the overview among them."""
    made = {page_name(package): page(package) for package in entries()}
    rows = [
        f"| [{package}]({page_name(package)}) | {summary_of(package)} |"
        for package in sorted(entries())
    ]
    made["index.md"] = "\n".join([_OVERVIEW, *rows, ""])
    return made


def summary_of(package: str) -> str:
    """Give the first line of a package's docstring."""
    return (
        (inspect.getdoc(packages()[package]) or "").split("\n\n")[0].replace("\n", " ")
    )


_OVERVIEW = """# Reference

Every public name, from the docstrings of the code; their examples run in the tests.
[Commands](../commands/index.md) has the command line.

```pycon
>>> import embrm
>>> help(embrm.RewardModel.fit)
```

| package | what is in it |
|---|---|"""

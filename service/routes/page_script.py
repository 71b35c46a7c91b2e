"""The modules of the page as one script, so that a browser requests one file instead of each module.

A module becomes a function that runs once and returns what it exports, after the modules that it imports. Comments are
left out. Only the forms of import and export that the page uses are read; any other is an error.
"""

import re
from collections.abc import Mapping
from posixpath import dirname, join, normpath

_IMPORT = re.compile(
    r'^import (?:\{(?P<names>[^}]*)\}|\* as (?P<everything>\w+)) from "(?P<path>[^"]+)";\n', re.MULTILINE
)
_EXPORT = re.compile(r"^export (?P<declaration>(?:(?:async )?function|const|class) (?P<name>\w+))", re.MULTILINE)
_OTHER_FORM = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)
_COMMENT = re.compile(r"^[ \t]*(?:/\*\*(?:(?!\*/).)*\*/|//[^\n]*)\n", re.MULTILINE | re.DOTALL)
_RENAMED = re.compile(r"(\w+) as (\w+)")


def join_modules(modules: Mapping[str, str], entry: str) -> str:
    """The script, which does what the module `entry` does.

    Args:
        modules: their text by path, with imports of relative paths.
        entry: path of the module that a browser is told of.

    Raises:
        ValueError: a module imports one that is missing or that imports it in turn, or has another form of import or
            export.
    """
    order = _in_order(modules, entry)
    names = {path: f"${at}" for at, path in enumerate(order)}
    return "".join(
        f"const {names[path]} = (() => {{\n{_as_function(path, modules[path], names)}}})();\n" for path in order
    )


def _in_order(modules: Mapping[str, str], entry: str) -> list[str]:
    """Paths of a module and of all that it needs, each once, after those that it imports."""
    done: dict[str, None] = {}

    def visit(path: str, importers: tuple[str, ...]) -> None:
        if path in importers:
            raise ValueError(f"{importers[-1]} imports {path}, which needs it in turn")
        if path not in modules:
            raise ValueError(f"{importers[-1] if importers else 'the page'} imports {path}, which is not there")
        if path not in done:
            for found in _IMPORT.finditer(modules[path]):
                visit(_resolve(path, found["path"]), (*importers, path))
            done[path] = None

    visit(entry, ())
    return list(done)


def _resolve(importer: str, path: str) -> str:
    return normpath(join(dirname(importer), path))


def _as_function(path: str, text: str, names: Mapping[str, str]) -> str:
    """The body of the function that a module becomes."""

    def bind(found: re.Match[str]) -> str:
        value = names[_resolve(path, found["path"])]
        if found["everything"]:
            return f"const {found['everything']} = {value};\n"
        bound = _RENAMED.sub(r"\1: \2", found["names"])
        return f"const {{{bound}}} = {value};\n"

    exports = [found["name"] for found in _EXPORT.finditer(text)]
    body = _EXPORT.sub(r"\g<declaration>", _IMPORT.sub(bind, _COMMENT.sub("", text)))
    if other := _OTHER_FORM.search(body):
        raise ValueError(f"{path}: this form of import or export is not read: {other[0]}")
    return f"{body}return {{ {', '.join(exports)} }};\n"

"""The house's rules over source text: each takes the top of a checkout and yields one sentence a trespass.

They are functions of a folder, so that `test_trespasses.py` can plant each fault on a scrap of a tree and see
it named.
"""

import ast
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path

__all__ = [
    "RULES",
    "commits_are_in_one_place",
    "doors_are_used",
    "doors_keep_their_word",
    "files_fit",
    "functions_fit",
    "imports_are_at_the_top",
    "money_is_not_float",
    "names_say_something",
    "no_promises_in_comments",
    "rooms_are_on_the_map",
    "source_files",
    "stack",
    "tables_are_in_their_files",
]

ROOT = Path(__file__).parents[2]
SHARED = {"kernel", "plumbing"}  # ground for everyone: any module of theirs may be imported
COMPOSERS = {
    "cli",
    "openapi.py",
    "main.py",
    "worker.py",
}  # they assemble the house, so they may touch every room

SCREEN = 60  # lines of a function
ROUTE = 15  # statement lines of a route: words in, one deed, words out
FILE = 400
FILE_LINES = {"__init__.py": 60, "model.py": 300, "rules.py": 300, "tables.py": 300}
# What may be longer, with its size: `<path>` or `<path>:<function>`. The list may only shrink.
LONGER: dict[str, int] = {}

SAYS_NOTHING = {"models", "services", "utils", "util", "common", "core", "helpers", "helper", "misc"}
MONEY = ("kernel/money.py", "ledger", "payments", "wallet")
TRANSACTIONS = "app/plumbing/database/"
TRANSACTION_VERBS = {"commit", "rollback", "begin", "begin_nested", "begin_twophase", "autocommit"}
TRANSACTION_WORDS = re.compile(
    r"\s*(BEGIN|START\s+TRANSACTION|COMMIT|ROLLBACK|SAVEPOINT)\s*(;|$|\w)", re.IGNORECASE
)
FOREIGN = (
    "app/demo/merchant",
    "app/demo/provider",
)  # other people's servers: their `begin` is not our database's
PROMISE = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|HA" + r"CK)\b")
TEXT_SUFFIXES = {".py", ".html", ".js", ".css", ".sql", ".po", ".md", ".toml", ".yaml", ".mako", ""}
TEXT_FOLDERS = ("app", "migrations", "tests", "bench", "docs", ".ci")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def source_files(root: Path, *folders: str) -> Iterator[Path]:
    """Every Python file under the folders, in order."""
    for folder in folders or ("app", "migrations", "tests", "bench"):
        yield from sorted((root / folder).rglob("*.py"))


@lru_cache(maxsize=2000)
def _parsed(path: Path, _changed: float) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def _tree(path: Path) -> ast.Module:
    return _parsed(path, path.stat().st_mtime_ns)


def _functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _at(root: Path, path: Path, node: ast.AST | None = None) -> str:
    line = f":{node.lineno}" if node is not None and hasattr(node, "lineno") else ""
    return f"{path.relative_to(root)}{line}"


def _imported(tree: ast.AST) -> Iterator[tuple[ast.stmt, str]]:
    """Every dotted name a file imports; `from a import b` as a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node, f"{node.module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)


def _reached(tree: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Every dotted name a file takes hold of: imports, attributes of an imported room, strings."""
    rooms: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "app":
            rooms |= {alias.asname or alias.name: alias.name for alias in node.names}
    yield from _imported(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in rooms:
            yield node, f"app.{rooms[node.value.id]}.{node.attr}"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("app."):
            yield node, node.value


def doors_are_used(root: Path) -> Iterator[str]:
    """A room is entered by its door: others import `app.ledger`, never `app.ledger.tables`."""
    app = root / "app"
    for path in source_files(root, "app"):
        own = path.relative_to(app).parts[0]
        if own in COMPOSERS:
            continue
        for node, name in _reached(_tree(path)):
            match name.replace(":", ".").split("."):
                case ["app", room, inner, *_] if room != own and room not in SHARED:
                    if _is_inside(app / room, inner):
                        where = _at(root, path, node)
                        yield f"{where} reaches into {room}/{inner}: use `from app import {room}`"


def _is_inside(room: Path, name: str) -> bool:
    return (room / f"{name}.py").exists() or (room / name / "__init__.py").exists()


def doors_keep_their_word(root: Path) -> Iterator[str]:
    """What is asked of a room stands in its door's `__all__`: nothing private, nothing by accident."""
    app = root / "app"
    doors = {path.parent.name: _listed(_tree(path)) for path in sorted(app.glob("*/__init__.py"))}
    for path in source_files(root, "app"):
        own = path.relative_to(app).parts[0]
        for node, name in _reached(_tree(path)):
            match name.split("."):
                case ["app", room, asked, *_] if room != own and room not in SHARED and room in doors:
                    if asked not in doors[room] and not _is_inside(app / room, asked):
                        yield f"{_at(root, path, node)} asks {room} for {asked}: its door does not offer it"


def _listed(door: ast.Module) -> set[str]:
    for node in door.body:
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=ast.List() | ast.Tuple() as names):
                return {str(name.value) for name in names.elts if isinstance(name, ast.Constant)}
            case _:
                pass
    return set()


def stack(root: Path) -> list[str]:
    """The rooms from the top of the stack to its bottom, planned ones too; from the import contract."""
    contracts = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract for contract in contracts if contract["id"] == "stack")["layers"]
    return [name.strip(" ()") for layer in layers for name in re.split(r"[|:]", layer)]


def rooms_are_on_the_map(root: Path) -> Iterator[str]:
    """The docstring of `app/__init__.py` names every room once, with a sentence, in stack order."""
    app = root / "app"
    there = {path.stem for path in app.glob("*.py")} | {path.parent.name for path in app.glob("*/*.py")}
    there.discard("__init__")
    text = ast.get_docstring(_tree(app / "__init__.py")) or ""
    lines = [re.fullmatch(r" *([a-z]+) {2,}(\S.*)", line) for line in text.splitlines()]
    mapped = {line[1]: line[2] for line in lines if line}
    order = [name for name in stack(root) if name in mapped]
    for name in sorted(there - mapped.keys()):
        yield f"app/{name} is not on the map in app/__init__.py"
    for name in sorted(mapped.keys() - there):
        yield f"the map names {name}, which is not in app/"
    if [name for name in mapped if name in order] != order:
        yield f"the map is not in stack order, which is: {' '.join(order)}"


def _written(root: Path) -> Iterator[Path]:
    """Every file that people read from top to bottom; a migration is a list."""
    return (path for path in source_files(root) if path.parent.name != "versions")


def functions_fit(root: Path) -> Iterator[str]:
    """A function fits a screen; a route says words, does one deed, says words."""
    for path in _written(root):
        for function in _functions(_tree(path)):
            lines = _lines(function) - sum(_lines(inner) for inner in _inner_functions(function))
            name = f"{_at(root, path)}:{function.name}"
            if lines > LONGER.get(name, SCREEN):
                yield f"{_at(root, path, function)} {function.name} has {lines} lines; at most {SCREEN}"
            elif name in LONGER and lines < LONGER[name]:
                yield f"{name} has shrunk to {lines} lines; shrink its line in LONGER"
            own = _statement_lines(function)
            if path.name == "routes.py" and _is_route(function) and own > ROUTE:
                yield f"{_at(root, path, function)} route {function.name} has {own} lines; at most {ROUTE}"


def _lines(node: Function) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _inner_functions(node: ast.AST) -> Iterator[Function]:
    """The functions right inside. They are measured themselves: a router is as long as its own words."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
        else:
            yield from _inner_functions(child)


def _is_route(function: Function) -> bool:
    verbs = {"get", "post", "put", "patch", "delete", "api_route"}
    called = (node.func for node in function.decorator_list if isinstance(node, ast.Call))
    return any(isinstance(node, ast.Attribute) and node.attr in verbs for node in called)


def _statement_lines(function: Function) -> int:
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def files_fit(root: Path) -> Iterator[str]:
    """A file answers one question; when it grows it is split by noun."""
    for path in _written(root):
        lines = len(path.read_text().splitlines())
        name = _at(root, path)
        limit = FILE_LINES.get(path.name, FILE) if name.startswith("app/") else FILE
        if lines > LONGER.get(name, limit):
            yield f"{name} has {lines} lines; at most {limit}"
        elif name in LONGER and lines < LONGER[name]:
            yield f"{name} has shrunk to {lines} lines; shrink its line in LONGER"


def commits_are_in_one_place(root: Path) -> Iterator[str]:
    """Transactions begin and end in plumbing/database only: a deed's `async with` is the whole truth."""
    for path in source_files(root, "app"):
        if _at(root, path).startswith((TRANSACTIONS, *FOREIGN)):
            continue
        for node in ast.walk(_tree(path)):
            match node:
                case ast.Call(func=ast.Attribute(attr=verb)) if verb in TRANSACTION_VERBS:
                    yield f"{_at(root, path, node)} calls .{verb}(); only {TRANSACTIONS} does"
                case ast.Call(func=ast.Attribute(attr="transaction", value=ast.Attribute(attr="raw"))):
                    yield f"{_at(root, path, node)} opens a transaction on the raw connection"
                case ast.Call(args=[ast.Constant(value=str(words)), *_]) if TRANSACTION_WORDS.match(words):
                    yield f"{_at(root, path, node)} says {words.split()[0]} in SQL; only {TRANSACTIONS} does"
                case _:
                    pass


def imports_are_at_the_top(root: Path) -> Iterator[str]:
    """An import inside a function hides a direction and a cost."""
    for path in source_files(root):
        for function in _functions(_tree(path)):
            for node in ast.walk(function):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    yield f"{_at(root, path, node)} imports inside {function.name}"


def names_say_something(root: Path) -> Iterator[str]:
    """There is no utils: if a function has no room, a word is missing."""
    for path in sorted((root / "app").rglob("*")):
        if (path.is_dir() or path.suffix == ".py") and path.stem in SAYS_NOTHING:
            yield f"{_at(root, path)} is a name that says nothing"


def no_promises_in_comments(root: Path) -> Iterator[str]:
    """A known lack is an issue or a strict xfail with its reason, not a comment."""
    for path in (path for folder in TEXT_FOLDERS for path in sorted((root / folder).rglob("*"))):
        if path.is_file() and path.suffix in TEXT_SUFFIXES and "__pycache__" not in path.parts:
            for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
                if found := PROMISE.search(line):
                    yield f"{_at(root, path)}:{number} says {found[0]}"


def money_is_not_float(root: Path) -> Iterator[str]:
    """No float where money is: no literal, conversion or annotation (but of seconds), no true division."""
    for path in source_files(root, "app"):
        inside = path.relative_to(root / "app").as_posix()
        if not any(inside == place or inside.startswith(f"{place}/") for place in MONEY):
            continue
        for node in ast.walk(_tree(path)):
            match node:
                case ast.Constant(value=float()):
                    yield f"{_at(root, path, node)} has the float {ast.unparse(node)}"
                case ast.Call(func=ast.Name(id="float")):
                    yield f"{_at(root, path, node)} converts to float"
                case (
                    ast.arg(arg=name, annotation=annotation)
                    | ast.AnnAssign(target=ast.Name(id=name), annotation=annotation)
                ) if annotation is not None and _mentions_float(annotation) and not name.endswith("_seconds"):
                    yield f"{_at(root, path, node)} {name} is annotated as float"
                case ast.FunctionDef(returns=ast.expr() as returned) if _mentions_float(returned):
                    yield f"{_at(root, path, node)} {node.name} returns a float"
                case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
                    yield f"{_at(root, path, node)} divides with /: split, allocate or //"
                case _:
                    pass


def _mentions_float(annotation: ast.expr) -> bool:
    return any(isinstance(node, ast.Name) and node.id == "float" for node in ast.walk(annotation))


def tables_are_in_their_files(root: Path) -> Iterator[str]:
    """Tables are declared in a room's tables.py, or <noun>_tables.py, or in the pipe that owns them."""
    for path in source_files(root, "app"):
        if path.name == "tables.py" or path.name.endswith("_tables.py"):
            continue
        if path.parent == root / "app" / "plumbing":
            continue
        for node in ast.walk(_tree(path)):
            match node:
                case ast.Call(func=ast.Name(id="Table") | ast.Attribute(attr="Table")):
                    yield f"{_at(root, path, node)} declares a table; a room keeps them in tables.py"
                case _:
                    pass


Rule = Callable[[Path], Iterable[str]]
RULES: tuple[Rule, ...] = (
    doors_are_used,
    doors_keep_their_word,
    rooms_are_on_the_map,
    functions_fit,
    files_fit,
    commits_are_in_one_place,
    imports_are_at_the_top,
    names_say_something,
    no_promises_in_comments,
    money_is_not_float,
    tables_are_in_their_files,
)

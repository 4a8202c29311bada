"""The structure of the package: imports point one way, and a public name has one meaning."""

import ast
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

import nas_gym

ROOT = Path(nas_gym.__file__).parent

# each room may import from itself and from those before it
ROOMS = (
    "utils", "spaces", "tables", "predictors", "networks", "evaluators", "tasks", "registration",
    "envs", "recording", "agents", "experiments", "cli",
)  # fmt: skip


def _modules():
    """Dotted names of the modules, and their syntax trees."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text())
    return found


MODULES = _modules()


def _room(module):
    room = [*module.split("."), ""][1]
    return "cli" if room == "__main__" else room


def _imported(node):
    """The modules of the package that a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names if alias.name in MODULES]
    if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("nas_gym"):
        below = [f"{node.module}.{alias.name}" for alias in node.names]
        own = [node.module] if any(name not in MODULES for name in below) else []
        return [name for name in below if name in MODULES] + own
    return []


def _is_typing_only(node):
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def _statements(tree, *, deferred):
    """Import statements; without ``deferred``, those that run when the module is imported."""
    waiting = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not deferred:
            continue
        elif not _is_typing_only(node):
            waiting += [
                child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)
            ]


def test_imports_point_one_way():
    upward = {
        f"{module} imports {imported}"
        for module, tree in MODULES.items()
        if _room(module)  # nas_gym itself offers names of every room
        for node in _statements(tree, deferred=True)
        for imported in _imported(node)
        if _room(imported) and ROOMS.index(_room(imported)) > ROOMS.index(_room(module))
    }
    assert not upward, "\n".join(sorted(upward))


def test_no_import_cycle():
    graph = {
        module: {
            imported
            for node in _statements(tree, deferred=False)
            for imported in _imported(node)
            # a package's __init__ offers names of its modules, which may import each other
            if not module.startswith(f"{imported}.")
        }
        - {module}
        for module, tree in MODULES.items()
    }
    list(TopologicalSorter(graph).static_order())  # raises CycleError


def test_a_public_name_has_one_meaning():
    defined = defaultdict(list)
    for module, tree in MODULES.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                defined[node.name].append(module)
    twice = {name: modules for name, modules in defined.items() if len(modules) > 1}
    assert not twice, "\n".join(f"{name}: {', '.join(found)}" for name, found in twice.items())

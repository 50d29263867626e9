"""Imports run one way, downwards, as ARCHITECTURE.md says."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import asynchooks

PACKAGE = Path(asynchooks.__file__).parent

# Each layer, and the layers that it may import from, besides itself.
BASE = {"_native", "_binding", "_detached", "_patching", "_program", "_reporting", "_imports"}
API = BASE | {
    "context",
    "edges",
    "holders",
    "hooks",
    "inspection",
    "links",
    "resources",
    "sites",
    "storage",
}
CAPTURE = API | {"boundaries", "integrations", "loops"}
MAY_IMPORT = {
    "_native": set(),
    "_reporting": set(),
    "_patching": {"_native", "_imports"},
    "_imports": {"_reporting"},
    "_binding": {"_native"},
    "_detached": {"_native"},
    "_program": set(),
    "sites": BASE,
    "edges": BASE,
    "hooks": BASE,
    "links": BASE,
    "context": BASE | {"links"},
    "inspection": BASE | {"edges", "hooks", "links", "resources", "sites"},
    "holders": BASE | {"context", "hooks", "inspection", "sites", "storage"},
    "resources": BASE,
    "storage": BASE | {"context"},
    "boundaries": API | {"integrations"},
    "integrations": API,
    "loops": API,
    "tracing": CAPTURE,
    "diagnosis": CAPTURE | {"tracing"},
    "libraries": CAPTURE | {"tracing"},
    "opentelemetry": CAPTURE | {"tracing", "libraries"},
    "engine": CAPTURE | {"tracing", "libraries", "opentelemetry"},
    "_autostart": CAPTURE | {"tracing", "libraries", "opentelemetry", "engine"},
    "viewer": set(),
    "cli": CAPTURE | {"tracing", "libraries", "engine", "viewer", "diagnosis"},
    "__main__": {"cli"},
    "__init__": CAPTURE | {"tracing", "engine", "diagnosis"},
}


def imported_layers(path: Path) -> set[str]:
    """The layers of asynchooks that a module imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return {name.split(".")[1] for name in names if name.startswith("asynchooks.")}


def test_no_module_imports_upwards() -> None:
    modules = sorted(PACKAGE.rglob("*.py"))
    assert PACKAGE / "engine.py" in modules
    for path in modules:
        layer = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        upwards = imported_layers(path) - MAY_IMPORT[layer] - {layer}
        assert not upwards, f"{path.relative_to(PACKAGE)} imports {sorted(upwards)}"


def test_importing_asynchooks_imports_nothing_but_the_engine() -> None:
    code = """
import sys
before = set(sys.modules)
import asynchooks
ours = {name.split('.')[1] for name in sys.modules if name.startswith('asynchooks.')}
assert not ours & {'tracing', 'libraries', 'viewer', 'cli'}, ours
new = {name.split('.')[0] for name in set(sys.modules) - before} - {'asynchooks'}
third_party = {name for name in new if 'site-packages' in str(sys.modules[name].__spec__)}
assert not third_party, third_party
assert not asynchooks.is_enabled()
"""
    subprocess.run([sys.executable, "-c", code], check=True)

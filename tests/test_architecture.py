"""Who may import whom, how long a file may be, and what must not be committed."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
SOURCES = sorted(path for folder in ("p2pl", "paper_figures", "theory") for path in (REPOSITORY / folder).rglob("*.py"))
TESTS = sorted((REPOSITORY / "tests").rglob("*.py"))
MODULES = {
    ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__"): path for path in SOURCES
}

# The engine and what it runs. Everything else must be usable without torch, whose import takes seconds.
WITH_TORCH = {
    *(f"p2pl.{name}" for name in ("accelerator", "algorithm", "augmentation", "batched", "channel", "checkpoint")),
    *(f"p2pl.{name}" for name in ("compression", "convolutions", "engine", "learners", "links", "local_data")),
    *(
        f"p2pl.{name}"
        for name in ("losses", "memory", "metrics", "products", "recorder", "run", "scenario", "training")
    ),
    *("p2pl.native.learner", "p2pl.native.mixing", "p2pl.native.selecting"),
}
FOLDERS_WITH_TORCH = (
    *("p2pl.algorithms.", "p2pl.benchmark.", "p2pl.compressors.", "p2pl.initializations.", "p2pl.models."),
    "theory.",
)
SLOW = ("mlxtend", "sklearn", "torchvision")  # imported where they are needed, in functions
LONGEST_FILE, LONGEST_FUNCTION = 250, 40


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imported(nodes: Iterator[ast.AST]) -> set[str]:
    """Full names of what is imported: modules, and `module.name` for names imported from them."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return found


def at_import(path: Path) -> set[str]:
    """What importing a file imports: not what its functions do, nor what is for a type checker only."""
    return imported(iter(tree(path).body))


def anywhere(path: Path) -> set[str]:
    return imported(ast.walk(tree(path)))


def may_use_torch(module: str) -> bool:
    return module in WITH_TORCH or module.startswith(FOLDERS_WITH_TORCH)


@pytest.mark.parametrize("module", [name for name in MODULES if not may_use_torch(name)])
def test_modules_without_torch_do_not_import_it_through_others(module: str) -> None:
    waiting, seen = {module}, set()
    while waiting:
        name = waiting.pop()
        seen.add(name)
        assert not any(other.split(".")[0] == "torch" for other in at_import(MODULES[name])), f"{name} imports torch"
        waiting |= (at_import(MODULES[name]) & MODULES.keys()) - seen


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("p2pl.algorithms.")])
def test_algorithms_know_only_the_contract(module: str) -> None:
    ours = {name for name in anywhere(MODULES[module]) if name in MODULES and name != "p2pl"}
    assert ours <= {"p2pl.algorithm", "p2pl.channel", "p2pl.registry"}


def test_the_engine_knows_no_figures_and_no_theory() -> None:
    for module, path in MODULES.items():
        used = {name.split(".")[0] for name in anywhere(path)}
        if module.startswith("p2pl"):
            assert not used & {"theory", "paper_figures"}, module
        elif module.startswith("paper_figures"):
            assert "torch" not in used, module


# What learns. A prediction that shared it with the run would say nothing when the two agree.
LEARNING = ("p2pl.engine", "p2pl.training", "p2pl.batched", "p2pl.learners", "p2pl.native.learner", "p2pl.algorithms.")
CHEAPER_RUNS = "theory.restricted"  # a forecast by the engine's own code is a cheaper run, and no prediction
FORECASTING = {CHEAPER_RUNS, "theory.forecast", "theory.check", "theory.p2pl_commands"}


def reached_by(module: str, closed: str = "") -> set[str]:
    """What a module of the theory leads to, without what lies behind the closed one."""
    waiting, seen = {module}, set()
    while waiting:
        name = waiting.pop()
        seen.add(name)
        reached = anywhere if name.startswith("theory") else at_import
        waiting |= (reached(MODULES[name]) & MODULES.keys()) - seen - {closed}
    return seen


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("theory")])
def test_theory_reaches_no_code_that_learns(module: str) -> None:
    if module != CHEAPER_RUNS:
        assert not {name for name in reached_by(module, CHEAPER_RUNS) if name.startswith(LEARNING)}
    assert (CHEAPER_RUNS in reached_by(module)) == (module in FORECASTING)


def test_slow_packages_are_imported_where_they_are_needed() -> None:
    for module, path in MODULES.items():
        assert not {name for name in at_import(path) if name.split(".")[0] in SLOW}, module


@pytest.mark.parametrize("path", SOURCES + TESTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_files_and_functions_fit_in_the_head(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= LONGEST_FUNCTION, f"{node.name} has {lines} lines"


def test_cpp_files_fit_in_the_head() -> None:
    for path in (REPOSITORY / "p2pl").rglob("*.[ch]pp"):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert len(lines) <= LONGEST_FILE, path.name
        assert max(map(len, lines)) <= 120, path.name


def test_no_test_is_skipped() -> None:
    """But where there is no compiler: see conftest.py."""
    for path in TESTS:
        if path.name == "conftest.py":
            continue
        names = {node.attr for node in ast.walk(tree(path)) if isinstance(node, ast.Attribute)}
        assert not names & {"skip", "skipif", "xfail", "importorskip"}, path.name


def test_every_package_is_named_in_pyproject() -> None:
    named = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    folders = {path.parent for path in SOURCES}
    assert sorted(named) == sorted(".".join(folder.relative_to(REPOSITORY).parts) for folder in folders)
    assert all((folder / "__init__.py").is_file() for folder in folders)


def test_the_lock_pins_all_with_hashes() -> None:
    lock = (REPOSITORY / "requirements.lock").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    assert all(re.match(r"[\w.-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line) for line in lock)
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
    pinned = {line.split("==")[0].lower() for line in lock}
    assert {re.match(r"[\w.-]+", requirement)[0].lower() for requirement in wanted} <= pinned  # type: ignore[index]


def test_no_paths_of_one_machine_and_no_addresses_of_registries() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    # Written so that this file does not contain what it looks for.
    strange = re.compile("|".join(["/ho" + "me/", "/ro" + "ot/", "/wo" + "rk/", "index" + "-url", "/sim" + "ple[/ ]"]))
    for name in listed.stdout.splitlines():
        path = REPOSITORY / name
        if path.is_file() and path.suffix not in (".png", ".pdf"):
            found = strange.search(path.read_text(encoding="utf-8", errors="replace"))
            assert found is None, f"{name}: {found}"

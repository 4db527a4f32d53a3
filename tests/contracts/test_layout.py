"""The repository tests its own shape: what design and README promise of the tree is true of the tree."""

import ast
import re
import shlex
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

from tasks.workloads import WORKLOADS

ROOT = Path(__file__).parents[2]
PACKAGES = ("flows", "tasks", "feature_repo", "expectations", "deployments")
FACES = sorted(path for path in (ROOT / "tasks").glob("*.py") if path.name not in {"__init__.py", "errors.py"})
FLOWS = sorted(path for path in (ROOT / "flows").glob("*.py") if path.name != "__init__.py")
OURS = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(path.read_text())))


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


@cache
def libraries() -> frozenset[str]:
    return frozenset(packages_distributions())


def names(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def bodies(path: Path) -> list[tuple[str, int]]:
    found = []
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
            found.append((node.name, (body[-1].end_lineno or 0) - body[0].lineno + 1))
    return found


@pytest.mark.parametrize(
    "name",
    [
        "flows",
        "tasks",
        "feature_repo",
        "expectations",
        "deployments",
        "infra",
        "tests",
        "prefect.yaml",
        "pyproject.toml",
    ],
)
def test_the_required_top_level_is_there(name):
    assert (ROOT / name).exists()


def test_infra_holds_no_python():
    assert not list((ROOT / "infra").rglob("*.py"))


@pytest.mark.parametrize("workload", WORKLOADS)
def test_a_workload_has_its_namesakes(workload):
    wanted = [
        f"tasks/workloads/{workload}.py",
        f"tasks/workloads/demo/{workload}.py",
        f"feature_repo/{workload}.py",
        f"expectations/{workload}.py",
        f"tests/unit/test_workload_{workload}.py",
    ]
    missing = [name for name in wanted if not (ROOT / name).is_file()]
    assert not missing, f"workload {workload!r} forgot: {', '.join(missing)}"


@pytest.mark.parametrize("path", OURS, ids=names)
def test_every_module_says_why_it_exists(path):
    assert ast.get_docstring(ast.parse(path.read_text())), f"{names(path)} opens without a sentence"


@pytest.mark.parametrize("path", OURS, ids=names)
def test_no_function_is_longer_than_a_screen(path):
    long = [f"{name} ({lines} lines)" for name, lines in bodies(path) if lines > 60]
    assert not long, f"{names(path)}: {', '.join(long)}"


@pytest.mark.parametrize("path", OURS, ids=names)
def test_no_module_has_a_name_that_says_nothing(path):
    assert not re.search(r"util|helper|manager|common|process_|handle_|misc", path.stem)


@pytest.mark.parametrize("path", OURS, ids=names)
def test_nothing_of_ours_pickles(path):
    assert not imports(path) & {"pickle", "joblib", "cloudpickle", "dill"}


@pytest.mark.parametrize("path", OURS, ids=names)
def test_only_the_settings_and_the_command_line_touch_the_environment(path):
    allowed = {"tasks/adapters/settings.py", "tasks/adapters/environment.py", "deployments/server.py"}
    if names(path) not in allowed:
        assert "os.environ" not in path.read_text() and "getenv" not in path.read_text()


@pytest.mark.parametrize("path", [*FLOWS, *FACES], ids=names)
def test_no_flow_or_face_bears_the_name_of_a_library(path):
    assert path.stem not in libraries() | sys.stdlib_module_names


@pytest.mark.parametrize("path", FLOWS, ids=names)
def test_a_flow_is_short_and_stands_alone_in_its_file(path):
    source = path.read_text()
    assert source.count("@flow") == 1
    assert len(source.splitlines()) <= 90


@pytest.mark.parametrize(
    ("library", "homes"),
    {
        "prefect": ("flows/", "tasks/", "deployments/"),
        "feast": ("feature_repo/", "tasks/adapters/feast"),
        "great_expectations": ("tasks/adapters/contract",),
        "mlflow": ("tasks/adapters/registry",),
        "torch": ("tasks/core/", "tasks/adapters/home.py", "tasks/adapters/feast_store.py"),
        "tokenizers": ("tasks/core/wording.py",),
        "skops": ("tasks/core/learners/scikit.py", "tasks/core/learners/tfidf.py"),
        "deap": ("tasks/core/timetable/evolution",),
        "usearch": ("tasks/core/likeness.py",),
        "psycopg2": ("tasks/adapters/vector_tables.py",),
        "optuna": ("tasks/adapters/studies.py",),
        "duckdb": ("tasks/adapters/contract",),
        "httpx": ("tasks/adapters/enrichment/client.py", "deployments/"),
        "redis": ("tasks/adapters/enrichment/cache.py", "tasks/adapters/feast_store.py"),
        "distributed": ("tasks/cluster.py",),
        "prefect_dask": ("tasks/cluster.py",),
        "boto3": ("tasks/adapters/clouds/s3.py",),
        "botocore": ("tasks/adapters/clouds/s3.py",),
        "gcsfs": ("tasks/adapters/clouds/gcs.py",),
        "adlfs": ("tasks/adapters/clouds/azure.py",),
        "azure": ("tasks/adapters/clouds/azure.py",),
        "oci": ("tasks/adapters/clouds/oracle.py",),
    }.items(),
)
def test_a_library_is_imported_only_in_its_home(library, homes):
    users = [names(path) for path in OURS if any(name.split(".")[0] == library for name in imports(path))]
    strangers = [user for user in users if not user.startswith(homes)]
    if library == "prefect":
        strangers += [user for user in users if re.match(r"tasks/\w+/", user)]
    assert not strangers


def test_the_command_line_starts_without_paying_for_a_cloud():
    code = (
        "import sys, deployments.cli\n"
        "paid = {'boto3', 'botocore', 'gcsfs', 'adlfs', 'azure', 'oci'} & set(sys.modules)\n"
        "sys.exit(str(paid) if paid else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("package", ["expectations", "tasks.workloads"])
def test_a_declaration_costs_no_heavy_import(package):
    modules = [f"{package}.{workload}" for workload in WORKLOADS]
    code = (
        f"import sys, {', '.join(modules)}\n"
        "known = {'feast', 'great_expectations', 'mlflow', 'prefect', 'torch', 'sklearn', 'tokenizers'}\n"
        "heavy = known & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def locked() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._\[\]-]+==[^\s;@]+", pin) for pin in pins), "every line is NAME==VERSION"
    return dict(pin.split("==") for pin in pins)


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def test_fastapi_stays_below_the_version_that_stops_prefects_server():
    assert numbers(locked()["fastapi"]) < (0, 151)


def test_sqlalchemy_stays_below_the_version_with_which_cron_schedules_never_fire():
    assert numbers(locked()["sqlalchemy"]) < (2, 1)


def test_torch_is_pinned_without_a_build_tag_so_that_pip_finds_it_anywhere():
    assert re.fullmatch(r"\d+\.\d+\.\d+", locked()["torch"])


def test_every_direct_dependency_is_locked():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [name for group in project["optional-dependencies"].values() for name in group]
    direct = {re.split(r"[\[<>=;]", name)[0].strip().lower() for name in [*project["dependencies"], *extras]}
    assert not direct - {project["name"], *(name.lower().replace("_", "-") for name in locked())}


def test_every_command_of_the_readme_is_in_the_makefile():
    readme, makefile = (ROOT / "README.md").read_text(), (ROOT / "Makefile").read_text()
    commands = set(re.findall(r"\bmake ([a-z-]+)", readme))
    assert {"demo", "test"} <= commands
    assert all(re.search(rf"^{command}:", makefile, re.MULTILINE) for command in commands)


def test_every_greenlight_command_of_the_readme_exists():
    from typer.main import get_command

    from deployments.cli import app

    named = [
        sentence.split() for sentence in re.findall(r"`greenlight ([a-z][a-z -]*)", (ROOT / "README.md").read_text())
    ]
    assert len(named) > 5
    for words in named:
        command = get_command(app)
        for word in words:
            assert word in command.commands, f"greenlight {' '.join(words)}"
            command = command.commands[word]
            if not hasattr(command, "commands"):
                break


def commands_of(command, words=()):
    if not hasattr(command, "commands") or command.invoke_without_command:
        yield words, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands_of(inner, (*words, name))


def test_every_command_speaks_json_and_shows_an_example_that_it_takes():
    from typer.main import get_command

    from deployments.cli import app

    found = dict(commands_of(get_command(app)))
    assert len(found) > 25
    for words, command in found.items():
        said = " ".join(("greenlight", *words))
        assert any("--json" in part.opts for part in command.params), said
        assert all(part.help for part in command.params if "--help" not in part.opts), said
        (example,) = re.findall(rf"^ *Example: {said}\b(.*)$", command.help or "", re.MULTILINE)
        command.make_context(said, shlex.split(example.partition(" > ")[0]))


def test_every_setting_of_the_readme_is_one():
    from tasks.adapters.settings import Redis, Settings

    flat = {name.upper() for name in Settings.model_fields} | {f"REDIS__{name.upper()}" for name in Redis.model_fields}
    named = set(re.findall(r"`GREENLIGHT_([A-Z_]+)`", (ROOT / "README.md").read_text()))
    assert named and named <= flat


def test_every_setting_of_enrichment_is_in_its_document_and_is_one():
    from tasks.adapters.settings import Enrich, Provider

    places = ("primary", "secondary", "tertiary")
    shared = {name.upper() for name in Enrich.model_fields if name not in places}
    settings = shared | {f"PRIMARY__{name.upper()}" for name in Provider.model_fields}
    named = re.findall(r"`GREENLIGHT_ENRICH__([A-Z_]+)`", (ROOT / "docs/enrichment.md").read_text())
    assert set(named) == settings


KEYS = {
    "name", "entrypoint", "work_pool", "enforce_parameter_schema", "concurrency_limit", "tags", "parameters",
    "schedules", "triggers", "description", "version", "<<",
}  # fmt: skip
TRIGGER_KEYS = {
    "type", "name", "enabled", "posture", "expect", "match", "match_related", "for_each", "threshold", "within",
    "parameters",
}  # fmt: skip


def deployments() -> list[dict]:
    return yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]


def test_no_key_of_prefect_yaml_is_misspelt():
    for deployment in deployments():
        assert not set(deployment) - KEYS
        for trigger in deployment.get("triggers", ()):
            assert not set(trigger) - TRIGGER_KEYS
        assert set(deployment["concurrency_limit"]) == {"limit", "collision_strategy"}


@pytest.mark.parametrize("workload", WORKLOADS)
@pytest.mark.parametrize("flow", ["retrain", "promote", "score", "rollback", "recover", "monitor", "appraise"])
def test_every_workload_has_its_deployments(workload, flow):
    mine = [each for each in deployments() if each["name"] == workload and each["entrypoint"] == f"flows.{flow}.{flow}"]
    assert len(mine) == 1, f"prefect.yaml forgot {flow}/{workload}"
    assert mine[0]["parameters"]["workload"] == workload


def test_every_cron_has_its_reason_beside_it():
    lines = (ROOT / "prefect.yaml").read_text().splitlines()
    crons = [number for number, line in enumerate(lines) if "cron:" in line]
    assert crons and all(lines[number - 1].strip().startswith("#") for number in crons)


def test_every_entrypoint_imports_and_takes_its_parameters():
    import importlib
    import inspect

    for deployment in deployments():
        module, _, name = deployment["entrypoint"].rpartition(".")
        flow = getattr(importlib.import_module(module), name)
        assert not set(deployment["parameters"]) - set(inspect.signature(flow.fn).parameters)


def test_no_workload_is_named_in_what_is_generic():
    generic = [*FLOWS, *FACES, *(ROOT / "tasks/core").rglob("*.py"), *(ROOT / "tasks/adapters").rglob("*.py")]
    for path in generic:
        text = [node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
        named = [value for value in text if value in WORKLOADS]
        assert not named, f"{names(path)} names the workload {named[0]!r}"


def test_every_decision_has_a_number_of_its_own():
    records = sorted((ROOT / "docs/decisions").glob("*.md"))
    numbers = [path.name[:4] for path in records]
    assert len(numbers) == len(set(numbers)), numbers
    assert [path.read_text("utf-8")[2:6] for path in records] == numbers

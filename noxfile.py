"""The developer's manual: `nox -l` lists what there is to run, `nox -s NAME` runs it; what follows `--` goes to the tool.

Everything is installed with constraints.txt: the versions that are tested.
"""

import itertools
import os
import shutil
import sys
import tempfile
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["tests"]
nox.options.reuse_existing_virtualenvs = True

BACKENDS = ("jax", "tensorflow", "torch")
CLIENTS = ("keras-tuner", "ray", "postgresql", "dashboard", "tensorboard", "tfds", "import", "onnx")
"""Extras that the tests use beside the backends."""

PROJECT = nox.project.load_toml("pyproject.toml")
CONSTRAINTS = ("-c", "constraints.txt")
EVERY_BACKEND = Path(".nox", "every-backend")
WORKERS = "2"


def group(name: str) -> list[str]:
    """The requirements of one of pyproject's dependency groups."""
    return list(nox.project.dependency_groups(PROJECT, name))


def every_backend(session: nox.Session) -> Path:
    """The `bin` folder of the one environment that holds all three backends; made once, brought up to date once per call of nox."""
    bin_folder = EVERY_BACKEND.resolve() / "bin"
    if not (bin_folder / "python").exists():
        session.run(sys.executable, "-m", "virtualenv", "--quiet", str(EVERY_BACKEND), external=True)
    if EVERY_BACKEND not in _UP_TO_DATE:
        wanted = ["-e", f".[{','.join(BACKENDS + CLIENTS)}]", *group("test"), *group("peers")]
        session.run(str(bin_folder / "python"), "-m", "pip", "install", "--quiet", *CONSTRAINTS, *wanted, external=True)
        _UP_TO_DATE.add(EVERY_BACKEND)
    return bin_folder


_UP_TO_DATE: set[Path] = set()


@nox.session
def quickstart(session: nox.Session) -> None:
    """Search on real images, in minutes: a front, a report, a trained model. Backend: KERAS_BACKEND, else jax."""
    backend = os.environ.get("KERAS_BACKEND", "jax")
    session.install(*CONSTRAINTS, f".[{backend}]")
    session.env["KERAS_BACKEND"] = backend
    folder = Path("runs", f"quickstart-{backend}")
    run_toml, trained = folder / "run.toml", folder / "knee"
    session.run("fvsearch", "run", "quickstart", "--out", str(folder), *session.posargs)
    session.run("fvsearch", "front", str(folder))
    session.run("fvsearch", "report", str(folder))
    session.run("fvsearch", "export", str(folder), "--pick", "knee", "-o", str(run_toml))
    session.run("fvsearch", "train", str(run_toml), "--out", str(trained))
    session.log(f"The search:  open {folder / 'report.html'} in a browser")
    session.log(f"The model:   {trained / 'model.keras'}, trained from {run_toml}")
    session.log(f"To go on:    .nox/quickstart/bin/fvsearch run quickstart --out {folder} --trials 40")


@nox.session(venv_backend="none")
@nox.parametrize("backend", [nox.param(name, id=name) for name in BACKENDS])
def tests(session: nox.Session, backend: str) -> None:
    """All tests on one backend; what no backend changes runs with jax alone."""
    bin_folder = every_backend(session)
    once = [] if backend == "jax" else ["-m", "not once"]
    session.run(
        *(str(bin_folder / "python"), "-m", "pytest", "-n", WORKERS, *once, *session.posargs),
        env={"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "2"},
        external=True,
    )


@nox.session(venv_backend="none")
def soak(session: nox.Session) -> None:
    """Kills at random moments, for an hour or `-- --minutes N`: nothing is lost or twice. Backend: KERAS_BACKEND, else jax."""
    bin_folder = every_backend(session)
    backend = os.environ.get("KERAS_BACKEND", "jax")
    session.run(
        *(str(bin_folder / "python"), "tests/soak.py", *session.posargs),
        env={"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "2"},
        external=True,
    )


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff's rules and format, and the floors: who may import whom."""
    session.install(*CONSTRAINTS, *group("lint"))
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", "--check")
    session.run("lint-imports", env={"PYTHONPATH": "."})


@nox.session
def types(session: nox.Session) -> None:
    """Mypy, strict below the keras line, over the package as it is used: keras and the backends count as untyped."""
    session.install(*CONSTRAINTS, "-e", ".", *group("types"))
    session.run("mypy", *session.posargs)


@nox.session
def wheel(session: nox.Session) -> None:
    """The wheel, built, installed elsewhere and used there: `fvsearch list` and `fvsearch cost` without the repository."""
    with tempfile.TemporaryDirectory() as folder:
        session.run("python", "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ".")
        (built,) = Path(folder).glob("*.whl")
        session.run("python", "-m", "pip", "uninstall", "--quiet", "--yes", "fvsearch")
        session.install(*CONSTRAINTS, str(built))
        with session.chdir(folder):
            session.run("python", "-c", "import fvsearch, pathlib; print(pathlib.Path(fvsearch.__file__).parent)")
            session.run("fvsearch", "list")
            session.run("fvsearch", "cost", "vit-b16")
            session.run("fvsearch", "cost", "B6(197)-6(99)", "--against", "vit-b16", "--batch-size", "128", "--json")


@nox.session
def report(session: nox.Session) -> None:
    """The HTML report in headless Chromium, as a reader sees it; no backend is installed, for a report needs none."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        session.error("no Chromium on the PATH; on Debian and Ubuntu: apt-get install chromium")
    session.install(*CONSTRAINTS, "-e", ".[dashboard]", *group("test"), *group("browser"))
    session.run("pytest", "tests/browser", *session.posargs, env={"CHROMIUM": str(browser)})


@nox.session
def bench(session: nox.Session) -> None:
    """Benchmarks by name, or all of them: `nox -s bench -- peers paper`; options go on to each, `-- paper --backends jax`."""
    scripts = {script.stem: script for script in sorted(Path("benchmarks").glob("[a-z]*.py"))}
    names = list(itertools.takewhile(lambda argument: not argument.startswith("-"), session.posargs))
    if unknown := [name for name in names if name not in scripts]:
        session.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(scripts)}")
    session.install(*CONSTRAINTS, "-e", f".[{','.join(BACKENDS)}]", *group("peers"))
    for name in names or scripts:
        session.run("python", str(scripts[name]), *session.posargs[len(names) :])

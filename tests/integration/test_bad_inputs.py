"""Bad inputs, command by command: each gets one paragraph and exit code 1 or 2, and never a traceback.

Every command is a process of its own, forked from one that has imported the libraries.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import bad_files
from tests.support.commands import Shell

EXAMPLES = int(os.environ.get("MEDS_BAD_INPUTS", "12"))
"""Number of values that are tried per kind of bad input; a kind with fewer values tries all of them."""
NAMES = st.text(st.characters(categories=("L", "N", "P")), min_size=1, max_size=300)
NEGATIVE = st.integers(max_value=-1)
BELOW_ONE = st.integers(max_value=0)
SEED = NEGATIVE | st.integers(min_value=2**63)
NO_SHARE = st.sampled_from([float("nan"), float("inf"), -1.0, 2.0]) | st.floats(min_value=1.001)
REFUSED = [
    "http://127.0.0.1:1",
    "nonsense://x",
    "words",
    "sqlite:///",
    "sqlite:///:memory:",
    "file:///",
    "http://",
    "://",
]
NO_FOLDER = ["nowhere", "file", "file/x", "dangling", "loop", "n" * 300, "empty", "texts", "\udcff"]
NO_PLACE = ["file/x", "loop/x", "n" * 300, "/proc/nowhere/x", "/dev/null/x"]
"""Paths below the folder of `bad_files.write_folders` that cannot be written; absolute ones stay as they are."""


@dataclass(frozen=True)
class Bad:
    """Folder with everything bad, and the process that runs commands."""

    root: Path
    shell: Shell

    def at(self, name: str) -> str:
        return str(self.root / "folders" / name)


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    root = tmp_path_factory.mktemp("bad")
    bad_files.write_folders(root / "folders")
    bad_files.write_weights(root / "weights")
    bad_files.write_lists(root / "lists")
    bad_files.write_stores(root / "stores")
    bad_files.write_exports(root / "exports")
    shell = Shell(tmp_path_factory.mktemp("shell"), patience=60)
    yield Bad(root, shell)
    shell.close()


def among(folder):
    """Every entry of a folder of bad things."""
    return lambda bad: st.sampled_from(sorted(map(str, (bad.root / folder).iterdir())))


def below(names):
    """Paths in the folder of bad folders."""
    return lambda bad: st.sampled_from(names).map(bad.at)


def always(strategy):
    """The same values whatever the folder."""
    return lambda bad: strategy


STUDY = ("sweeps", "rho", "--profile", "smoke")
TILES = ("sweeps", "rho", "--profile", "mtd", "--dry-run", "--data", "{tiles}")
RANK = ("harness", "rank", "{images}", "--cache", "{cache}")
TEACH = ("harness", "pretrain-teacher", "{images}", "--cache", "{cache}", "--out", "{out}")
MERGE = ("harness", "merge", str(bad_files.EXPORT))
KINDS = {
    "study name": (("sweeps",), always(NAMES)),
    "study profile": (("sweeps", "rho", "--profile"), always(NAMES)),
    "study method": ((*STUDY, "--method"), always(NAMES)),
    "study protocol": ((*STUDY, "--protocol"), always(NAMES)),
    "study list": ((*TILES, "--protocol"), lambda bad: among("lists")(bad).map("list:{}".format)),
    "study noise": ((*STUDY, "--noise"), always(NO_SHARE)),
    "study noise seed": ((*STUDY, "--noise-seed"), always(SEED)),
    "study rho": ((*STUDY, "--rho"), always(NO_SHARE | st.just(0))),
    "study seed": ((*STUDY, "--seed"), always(SEED)),
    "study limit": ((*STUDY, "--limit"), always(BELOW_ONE)),
    "study workers": ((*STUDY, "--workers"), always(NEGATIVE)),
    "study retries": ((*STUDY, "--retries"), always(NEGATIVE)),
    "study at once": ((*STUDY, "--max-concurrent"), always(BELOW_ONE)),
    "study share": ((*STUDY, "--gpus-per-trial"), always(NO_SHARE | st.just(0))),
    "study words for numbers": ((*STUDY, "--seed"), always(st.sampled_from(["", "a", "1.5", "½"]))),
    "study category": (
        ("sweeps", "rho", "--profile", "folder", "--dry-run", "--data", "{tiles}", "--category"),
        always(NAMES),
    ),
    "study category of mvtec": (
        ("sweeps", "rho", "--profile", "mvtec_ad", "--dry-run", "--data", "{tiles}", "--category"),
        always(NAMES),
    ),
    "study encoder": ((*STUDY, "--weights"), always(NAMES)),
    "study weights": (
        (*STUDY, "--weights"),
        lambda bad: among("weights")(bad).map("tf_efficientnet_lite0={}".format),
    ),
    "study teacher": (("sweeps", "baselines", "--profile", "smoke", "--teacher"), among("weights")),
    "study penalty": (
        ("sweeps", "baselines", "--profile", "smoke", "--penalty-images"),
        below(NO_FOLDER),
    ),
    "study data": (
        ("sweeps", "rho", "--profile", "mtd", "--dry-run", "--data"),
        below([*NO_FOLDER, "images", "damaged"]),
    ),
    "study folder": (
        ("sweeps", "rho", "--profile", "folder", "--dry-run", "--data"),
        below([*NO_FOLDER, "images", "damaged"]),
    ),
    "study storage": (
        (*STUDY, "--storage"),
        always(
            st.sampled_from(
                [
                    "nowhere",
                    "nonsense://x",
                    "s3://",
                    "://",
                    "file",
                    "\udcff",
                    "n" * 300,
                    "memory://x",
                    "dir://x",
                ]
            )
        ),
    ),
    "study address": (
        (*STUDY, "--address"),
        always(
            st.sampled_from(
                [
                    "127.0.0.1:1",
                    "ray://127.0.0.1:1",
                    "127.0.0.1:99999999",
                    "nonsense://x",
                    "words",
                    ":",
                    "ray://",
                ]
            )
        ),
    ),
    "study runs": ((*STUDY, "--runs"), below(NO_PLACE)),
    "study cache": ((*STUDY, "--cache"), below(NO_PLACE)),
    "study store": ((*STUDY, "--dry-run", "--runs"), among("stores")),
    "study labels": (("sweeps", "rho", "--labelled-categories"), always(NAMES)),
    "search labels": (
        ("sweeps", "search", "--profile", "smoke", "--labelled-categories"),
        always(NAMES),
    ),
    "report name": (("reports",), always(NAMES)),
    "report profile": (("reports", "rho", "--profile"), always(NAMES)),
    "report store": (("reports", "rho", "--runs"), among("stores")),
    "report runs": (("reports", "--runs"), below([*NO_FOLDER, *NO_PLACE])),
    "compare name": (("reports.launch.compare",), always(NAMES)),
    "compare profile": (("reports.launch.compare", "rho", "--profile"), always(NAMES)),
    "compare store": (("reports.launch.compare", "rho", "--runs"), among("stores")),
    "compare runs": (
        ("reports.launch.compare", "rho", "--runs"),
        below([*NO_FOLDER, *NO_PLACE]),
    ),
    "check name": (("harness", "check", "--data", "{tiles}"), always(NAMES)),
    "check data": (
        ("harness", "check", "folder", "--cache", "{cache}", "--data"),
        below(NO_FOLDER),
    ),
    "check mvtec": (
        ("harness", "check", "mvtec_ad", "--cache", "{cache}", "--data"),
        below([*NO_FOLDER, "images", "damaged"]),
    ),
    "check visa": (
        ("harness", "check", "visa", "--cache", "{cache}", "--data"),
        below([*NO_FOLDER, "images", "damaged"]),
    ),
    "check real_iad": (
        ("harness", "check", "real_iad", "--cache", "{cache}", "--data"),
        below([*NO_FOLDER, "images", "damaged"]),
    ),
    "check textures": (
        ("harness", "check", "textures", "--cache", "{cache}", "--data"),
        below(["file", "empty", "images", "loop", *NO_PLACE]),
    ),
    "check cache": (
        ("harness", "check", "magnetic_tile", "--data", "{tiles}", "--cache"),
        below(NO_PLACE),
    ),
    "doctor name": (("harness", "doctor", "--dataset"), always(NAMES)),
    "doctor storage": (("harness", "doctor", "--storage"), below(["nowhere", "file", "loop"])),
    "rank folder": (("harness", "rank", "--cache", "{cache}"), below([*NO_FOLDER, "damaged"])),
    "rank steps": ((*RANK, "--steps"), always(st.integers(max_value=3))),
    "rank seed": ((*RANK, "--seed"), always(SEED)),
    "rank contaminated": ((*RANK, "--contaminated"), among("lists")),
    "rank remove": ((*RANK, "--clean-folder", "{out}", "--remove"), among("lists")),
    "rank out": ((*RANK, "--out"), below([*NO_PLACE, "file"])),
    "rank cache": (("harness", "rank", "{images}", "--cache"), below([*NO_PLACE, "file"])),
    "rank clean folder": (
        (*RANK, "--remove", "{list}", "--clean-folder"),
        below([*NO_PLACE, "file", "empty", "images", "images/x"]),
    ),
    "export study": (("harness", "export", "--out", "{out}", "--runs", "{empty}"), always(NAMES)),
    "export profile": (
        ("harness", "export", "rho", "--out", "{out}", "--runs", "{empty}", "--profile"),
        always(NAMES),
    ),
    "export store": (("harness", "export", "rho", "--out", "{out}", "--runs"), among("stores")),
    "export out": (("harness", "export", "rho", "--out"), below([*NO_PLACE, "file", "empty"])),
    "merge folder": ((*MERGE, "--out", "{out}"), below([*NO_FOLDER, "images"])),
    "merge damaged": ((*MERGE, "--out", "{out}"), among("exports")),
    "merge out": ((*MERGE, "--out"), below([*NO_PLACE, "file", "empty"])),
    "verify run": (("harness", "verify", "--data", "{tiles}", "--runs", "{empty}"), always(NAMES)),
    "verify store": (("harness", "verify", "abc", "--data", "{tiles}", "--runs"), among("stores")),
    "teach folder": (
        ("harness", "pretrain-teacher", "--out", "{out}", "--cache", "{cache}"),
        below([*NO_FOLDER, "damaged"]),
    ),
    "teach out": ((*TEACH[:5], "--out"), below([*NO_PLACE, "empty", "nowhere/x"])),
    "teach encoder": ((*TEACH, "--encoder"), always(NAMES)),
    "teach weights": ((*TEACH, "--weights"), among("weights")),
    "teach modules": ((*TEACH, "--modules"), always(NAMES)),
    "teach cache": (
        ("harness", "pretrain-teacher", "{images}", "--out", "{out}", "--cache"),
        below([*NO_PLACE, "file"]),
    ),
    **{
        f"teach {name}": ((*TEACH, f"--{name}"), always(values))
        for name, values in {
            "channels": BELOW_ONE | st.integers(min_value=2**31),
            "width": BELOW_ONE | st.integers(min_value=2**31),
            "steps": BELOW_ONE,
            "batch-size": BELOW_ONE,
            "seed": SEED,
            "every": BELOW_ONE,
            "encoder-size": BELOW_ONE | st.integers(min_value=2**31),
            "image-size": st.integers(max_value=35) | st.integers(min_value=2**31),
        }.items()
    },
    **{
        f"{name} address": ((*arguments,), always(st.sampled_from(REFUSED)))
        for name, arguments in {
            "dry run": (*STUDY, "--dry-run", "MLFLOW_TRACKING_URI="),
            "report": ("reports", "rho", "MLFLOW_TRACKING_URI="),
            "all reports": ("reports", "MLFLOW_TRACKING_URI="),
            "compare": ("reports.launch.compare", "rho", "MLFLOW_TRACKING_URI="),
            "export": ("harness", "export", "rho", "--out", "{out}", "MLFLOW_TRACKING_URI="),
            "verify": ("harness", "verify", "abc", "--data", "{tiles}", "MLFLOW_TRACKING_URI="),
        }.items()
    },
}
"""Beginning of a command line, and the values that end it badly, by kind. `NAME=` becomes a variable of the shell."""


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_input_gets_one_paragraph(bad, kind):
    start, values = KINDS[kind]

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(values(bad))
    def holds(value):
        assert_refused(bad, start, str(value))

    holds()


def assert_refused(bad, start, value):
    """Run the command; it must end with one paragraph and exit code 1 or 2."""
    named = {name: bad.at(name) for name in ("tiles", "images", "empty")}
    named |= {name: str(bad.root / name) for name in ("cache", "out")}
    named["list"] = str(bad.root / "lists" / "unknown.csv")
    *others, last = [part.format(**named) for part in start]
    environment = {}
    if last.endswith("="):
        environment[last[:-1]] = value
        arguments = others
    elif last.startswith("--") and value.startswith("-"):
        arguments = [*others, f"{last}={value}"]
    else:
        arguments = [*others, last, *(["--", value] if value.startswith("-") else [value])]
    for option, place in (("--runs", "runs"), ("--cache", "cache")):
        if arguments[0] == "sweeps" and option not in " ".join(arguments):
            arguments += [option, str(bad.root / place)]
    answer = bad.shell.run(*arguments, **environment)
    said = answer.stdout + answer.stderr
    assert "Traceback" not in said, said[-3000:]
    assert answer.returncode in (1, 2), said[-2000:]
    assert answer.stderr.strip() or "FAULT" in said or "ERROR" in said
    assert "\n\n" not in answer.stderr.strip() or answer.returncode == 2, answer.stderr
    assert not (bad.root / "out").exists()

"""Help, usage errors and unknown names are answered before anything heavy is imported."""

import subprocess
import sys

import pytest

HEAVY = {"torch", "mlflow", "ray", "timm"}


@pytest.mark.parametrize(
    ("module", "arguments", "code"),
    [
        ("harness", ["--help"], 0),
        ("harness", ["check", "nothing", "--data", "."], 2),
        ("harness", ["nothing"], 2),
        ("sweeps", ["--help"], 0),
        ("sweeps", ["nothing"], 2),
        ("sweeps", ["rho", "--limit", "many"], 2),
        ("reports", ["--help"], 0),
        ("meds_bench", ["--help"], 0),
        ("meds_bench", ["run", "nothing"], 2),
        ("meds_bench", ["nothing"], 2),
    ],
)
def test_a_quick_answer_imports_nothing_heavy(module, arguments, code):
    command = [sys.executable, "-X", "importtime", "-m", module, *arguments]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == code
    lines = [line for line in answer.stderr.splitlines() if line.startswith("import time:")]
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}
    assert "tyro" in imported
    assert not imported & HEAVY
    assert "__main__.py" not in answer.stdout + "".join(
        line for line in answer.stderr.splitlines() if line not in lines
    )

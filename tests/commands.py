"""Commands as a user types them."""

import os
from pathlib import Path
from typing import Any

OTHERS = ("RAY_", "MLFLOW_", "PYTHONUNBUFFERED", "MAKE", "MFLAGS")
"""Settings of this process that a command of a user has not."""


def as_a_user(**environment: str) -> dict[str, Any]:
    """How to start a subprocess from the root of the project, with an environment that has no settings of tests."""
    own = {k: v for k, v in os.environ.items() if not k.startswith(OTHERS)}
    return {"cwd": Path(__file__).parents[1], "env": {**own, **environment}, "text": True}

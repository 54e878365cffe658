"""Rows of the tracking store that several processes insert, such as the dataset that many runs have as their input."""

from __future__ import annotations

from collections.abc import Callable

from mlflow.exceptions import MlflowException

MAX_ROWS = 2
"""Maximum number of rows of one request: the training images and the test images of a run."""


def insert_shared(request: Callable[[], object]) -> None:
    """Insert rows that several processes share, also if another process inserts them at the same time.

    MLflow looks for a row before it inserts it, and refuses the request if the row has appeared since. Each refusal
    means that one more row exists, which the next attempt finds.

    Args:
        request: Request that inserts at most `MAX_ROWS` rows, and finds those that exist.

    Raises:
        MlflowException: the store refuses the request for another reason.
    """
    for _ in range(MAX_ROWS):
        try:
            request()
        except MlflowException as error:
            if error.error_code != "BAD_REQUEST":
                raise
        else:
            return
    request()

"""Old names of options still work beside the new names."""

import pytest
import tyro

from harness.cli.export import Merge
from harness.cli.rank import Rank
from sweeps.launch.options import Options


@pytest.mark.parametrize(
    ("command", "given", "old", "new", "value"),
    [
        (Rank, ["photographs"], "--apply", "--remove", "list.csv"),
        (Rank, ["photographs"], "--cleaned", "--clean-folder", "left"),
        (Rank, ["photographs"], "--known", "--contaminated", "list.csv"),
        (Merge, ["here", "there", "--out", "both"], "--keep", "--on-conflict", "first"),
        (Options, ["search"], "--objective", "--labelled-categories", "brick"),
        (Options, ["loco"], "--penalty", "--penalty-images", "folder"),
    ],
)
def test_an_old_name_of_an_option_means_the_same_as_the_new_name(command, given, old, new, value):
    before, after = (tyro.cli(command, args=[*given, name, value]) for name in (old, new))
    assert before == after != tyro.cli(command, args=given)

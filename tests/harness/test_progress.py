"""Progress on stderr: a bar on a terminal, and in a file a few lines, whatever the pace of the work."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from harness.progress import INTERVAL, ProgressLines, tracked
from tests.support.commands import as_a_user, command

PACE = st.lists(st.floats(0, 3 * INTERVAL), min_size=1, max_size=60)
"""Seconds that each step takes."""


def written(seconds):
    """Do steps that take these seconds; return the lines with the times at which they were written."""
    now, lines = [0.0], []
    shown = ProgressLines(
        "work", len(seconds), write=lambda line: lines.append((now[0], line)), clock=lambda: now[0]
    )
    with shown:
        for taken in seconds:
            now[0] += taken
            shown.set_postfix_str("loss 0.5", refresh=False)
            shown.update()
    return lines


@given(PACE)
def test_lines_between_the_first_and_the_last_keep_their_distance(seconds):
    times = [time for time, _ in written(seconds)]
    between = times[:-1]
    assert all(second - first >= INTERVAL for first, second in pairwise(between))
    assert times[0] == 0
    assert times[-1] == sum(seconds)


@given(PACE)
def test_no_silence_is_longer_than_the_interval_and_one_step(seconds):
    times = [time for time, _ in written(seconds)]
    longest = max(b - a for a, b in pairwise(times))
    assert longest <= INTERVAL + max(seconds) + 1e-6


def test_a_line_says_what_is_done_how_long_it_took_and_what_is_left():
    assert [line for _, line in written([31.0, 31.0, 100.0])] == [
        "work: 0 of 3",
        "work: 1 of 3, 31 s, 62 s left, loss 0.5",
        "work: 2 of 3, 62 s, 31 s left, loss 0.5",
        "work: 3 of 3, 3 min",
    ]


def test_interrupted_work_ends_with_what_was_done(capsys):
    items = tracked(iter("abc"), "work", 3)
    next(items)
    next(items)
    items.close()
    assert capsys.readouterr().err == "work: 0 of 3\nwork: 1 of 3, 0 s\n"


LOOP = "from harness.progress import tracked; print(*tracked('abc', 'work', 3))"


def test_a_file_has_lines_and_no_control_characters(tmp_path):
    with (tmp_path / "log").open("w") as log:
        subprocess.run([sys.executable, "-c", LOOP], stderr=log, check=True, **as_a_user())
    assert (tmp_path / "log").read_text() == "work: 0 of 3\nwork: 3 of 3, 0 s\n"


def on_terminal(columns):
    """What a terminal of this width receives from the loop; some terminals do not know their width."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    subprocess.run([sys.executable, "-c", LOOP], stderr=theirs, check=True, **as_a_user())
    os.set_blocking(ours, False)
    text = os.read(ours, 10_000).decode()
    os.close(theirs)
    os.close(ours)
    return text


def test_a_terminal_has_a_bar():
    text = on_terminal(80)
    assert "work:   0%|" in text
    assert "0 of 3" not in text


def test_a_terminal_without_a_width_has_lines():
    assert on_terminal(0) == "work: 0 of 3\r\nwork: 3 of 3, 0 s\r\n"


def test_a_check_is_seen_in_a_file(small, tmp_path):
    places = ("--data", str(small.data), "--cache", str(tmp_path))
    answer = command("harness", "check", "mvtec_ad", *places)
    assert "checking images: 0 of 66\nchecking images: 66 of 66, " in answer.stderr

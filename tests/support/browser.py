"""Pages in headless Chromium: open one, run a script after it, and read what the script found."""

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from tests.support.waiting import PATIENCE

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
IN_BROWSER = pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on this machine")
"""Mark of tests that open pages."""
RESULT = re.compile(r'data-result="([^"]*)"')
SHOW = "(found) => { document.body.dataset.result = encodeURIComponent(JSON.stringify(found)); }"
TO_PARENT = '(found) => parent.postMessage(found, "*")'


def browse(
    text: str, script: str, folder: Path, *, width: int = 1280, options: Sequence[str] = ()
) -> Any:
    """Open a page, run a script after it, and return what the script calls `done` with.

    No host can be reached, and the page writes nothing to its console. What the page keeps in the browser is there
    when `browse` is called again with the same folder.

    Args:
        text: HTML of the page.
        script: Script to run at the end of the page.
        folder: Folder for the page `page.html`, whose addresses are relative to it, and for the browser's profile.
        width: Width of the view in pixels. A view narrower than Chromium's narrowest window is a frame in a page.
        options: Further options of the browser.
    """
    page, framed = folder / "page.html", width < 500
    done = TO_PARENT if framed else SHOW
    run = f"<script>{{ const done = {done};\n{script} }}</script></body>"
    page.write_text(text.replace("</body>", run), encoding="utf-8")
    opened = folder / "frame.html" if framed else page
    if framed:
        listen = f"const done = {SHOW}; addEventListener('message', (event) => done(event.data));"
        frame = f'<iframe src="page.html" style="width: {width}px; height: 844px; border: 0">'
        opened.write_text(f"<!doctype html><body><script>{listen}</script>{frame}</iframe></body>")
    answer = subprocess.run(
        [
            str(BROWSER),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--enable-logging=stderr",
            f"--window-size={max(width, 500)},900",
            "--virtual-time-budget=5000",
            f"--user-data-dir={folder / 'profile'}",
            *options,
            "--dump-dom",
            opened.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    said = [line for line in answer.stderr.splitlines() if ":CONSOLE" in line]
    assert said == []
    found = RESULT.search(answer.stdout)
    assert found, "the script did not call `done`"
    return json.loads(unquote(found[1]))

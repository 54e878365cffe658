"""Pages in a real browser: no error in its console, no network, and what is clicked works."""

import json
import re
import shutil
import subprocess
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from harness.label_correction import Ranking, read_list
from harness.ranking_page import render as render_ranking
from reports.page import render
from reports.seeds import draw_groups

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on this machine"),
]
RESULT = re.compile(r'data-result="([^"]*)"')


def browse(text, script, folder):
    """Open a page, run a script after it, and return what the script calls `done` with."""
    page = folder / "page.html"
    show = "const done = (found) => { document.body.dataset.result = encodeURIComponent(JSON.stringify(found)); };"
    page.write_text(text.replace("</body>", f"<script>{{ {show}\n{script} }}</script></body>"))
    answer = subprocess.run(
        [
            BROWSER,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--enable-logging=stderr",
            "--virtual-time-budget=5000",
            f"--user-data-dir={folder / 'profile'}",
            "--dump-dom",
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    said = [line for line in answer.stderr.splitlines() if ":CONSOLE" in line]
    assert said == []
    return json.loads(unquote(RESULT.search(answer.stdout)[1]))


def study_page():
    rows = [("b", 0.9, 0.2), ("a", None, 0.2), ("c", 0.1, 0.4)]
    table = pd.DataFrame(rows, columns=["method", "image AUROC", "noise"])
    named = table.rename(columns={"image AUROC": "value"}).fillna(0.5)
    named = named.assign(metric="image_auroc", readout="all", category="mean")
    return render(
        title="A study",
        caption="Caption",
        figure=draw_groups(named, "image_auroc"),
        tables=[table],
        provenance={"experiments": "3"},
    )


def test_a_studys_page_has_no_errors_and_its_table_sorts(tmp_path):
    script = """
      const head = (i) => document.querySelectorAll("th")[i];
      const firsts = () => [...document.querySelectorAll("tbody tr")].map((row) => row.cells[0].textContent).join("");
      const found = [firsts()];
      for (const i of [0, 0, 1, 1]) { head(i).click(); found.push(firsts()); }
      found.push(document.querySelector("svg").getBoundingClientRect().width > 600);
      done(found);
    """
    found = browse(study_page(), script, tmp_path)
    assert found == ["bac", "abc", "cba", "cba", "bca", True]


def test_ticked_images_are_saved_as_a_list(tmp_path):
    names = ['a "b", c.png', "d/e.png", "f.png"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (40, 30), (200, 100, 50)).save(tmp_path / name)
    maps = np.random.default_rng(0).random((3, 128, 128)).astype(np.float32)
    ranking = Ranking(tmp_path, tuple(names), np.array([0.9, 0.5, 0.1]), maps)
    script = """
      const save = document.getElementById("save");
      const before = save.disabled;
      let saved;
      URL.createObjectURL = (blob) => { saved = blob; return "data:,"; };
      HTMLAnchorElement.prototype.click = () => {};
      for (const box of [...document.querySelectorAll("input")].slice(0, 2)) box.click();
      save.click();
      const broken = [...document.images].filter((image) => image.complete && !image.naturalWidth).length;
      const count = document.getElementById("count").textContent;
      saved.text().then((text) => done([before, save.disabled, count, broken, text]));
    """
    before, after, count, broken, text = browse(render_ranking(ranking), script, tmp_path)
    assert (before, after, count, broken) == (True, False, "2", 0)
    (tmp_path / "remove.csv").write_text(text)
    assert read_list(tmp_path / "remove.csv") == names[:2]

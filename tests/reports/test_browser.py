"""Pages of studies in a real browser: no error in its console, no network, and what is clicked works."""

import io

import pandas as pd
from PIL import Image

from reports.pages.document import Document
from reports.pages.page import render
from reports.pages.provenance import Provenance
from reports.pages.table import Table
from reports.plots.seeds import draw_groups
from reports.tables.cells import Runs
from tests.support.browser import IN_BROWSER, browse

pytestmark = IN_BROWSER


def study_page():
    """A page with a narrow and a wide, folded table, two runs, one of them failed, and sample maps."""
    rows = [("b", 0.9, 0.2, "r1"), ("a", None, 0.2, "r1"), ("c", 0.1, 0.4, "r1")]
    table = pd.DataFrame(rows, columns=["method", "image AUROC", "noise", "run_id"])
    named = table.rename(columns={"image AUROC": "value"}).fillna(0.5)
    named = named.assign(metric="image_auroc", readout="all", category="mean")
    wide = pd.DataFrame({f"a metric with a long name {i}": [0.5] for i in range(20)})
    runs = pd.DataFrame(
        {
            "run_id": ["r1", "r2"],
            "name": ["one", "two"],
            "status": ["FINISHED", "FAILED"],
            "failure": ["", "ValueError: " + "long" * 300],
            "seconds": [1.5, None],
            "git": ["f00", "f00"],
        }
    )
    sheet = io.BytesIO()
    Image.new("RGB", (896, 112)).save(sheet, "JPEG")
    return render(
        Document(
            title="A study",
            caption="Caption",
            figure=draw_groups(named, "image_auroc"),
            tables=(
                Table(
                    title="Comparison",
                    caption="Caption",
                    frame=table.drop(columns="run_id").assign(seeds=Runs(("r1",))),
                ),
                Table(title="All metrics", caption="Caption", frame=wide, folded=True),
            ),
            provenance=Provenance(
                runs=runs,
                server=None,
                database="sqlite:///runs/mlflow.db",
                samples=(("one", sheet.getvalue()),),
            ),
        )
    )


def test_a_studys_page_has_no_errors_and_its_table_sorts(tmp_path):
    script = """
      const table = document.querySelector("table");
      const head = (i) => table.tHead.rows[0].cells[i];
      const firsts = () => [...table.tBodies[0].rows].map((row) => row.cells[0].textContent).join("");
      const found = [firsts()];
      for (const i of [0, 0, 1, 1]) { head(i).click(); found.push(firsts()); }
      found.push(document.querySelector("svg").getBoundingClientRect().width > 600);
      done(found);
    """
    found = browse(study_page(), script, tmp_path)
    assert found == ["bac", "abc", "cba", "cba", "bca", True]


def test_a_studys_page_fits_1280_pixels_and_its_links_open_the_runs(tmp_path):
    script = """
      const root = document.documentElement;
      const fits = () => root.scrollWidth <= root.clientWidth;
      const before = [innerWidth, fits()];
      for (const list of document.querySelectorAll("details")) list.open = true;
      const opened = fits();
      const scrolls = [...document.querySelectorAll(".scroll")].some((box) => box.scrollWidth > box.clientWidth);
      for (const list of document.querySelectorAll("details")) list.open = false;
      const image = document.images[0].naturalWidth;
      document.querySelector("td a").click();
      addEventListener("hashchange", () => setTimeout(() => {
        const row = document.getElementById("run-r1");
        done([...before, opened, scrolls, image, row.closest("details").open]);
      }));
    """
    found = browse(study_page(), script, tmp_path)
    assert found == [1280, True, True, True, 896, True]

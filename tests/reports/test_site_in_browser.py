"""The site in a real browser, opened from disk: filters, sorting, links, pictures, phone width, without any error."""

import re

import pytest

from reports.site.build import build
from reports.site.sources import find_studies
from tests.support.browser import IN_BROWSER, browse
from tests.support.commands import ROOT
from tests.support.stored_study import stored

pytestmark = IN_BROWSER

HELPERS = """
  const ready = async (found) => {
    for (let i = 0; i < 400 && !found(); i += 1) await new Promise((next) => setTimeout(next, 10));
    if (!found()) throw new Error("not ready: " + found);
  };
  const all = (selector) => [...document.querySelectorAll(selector)];
  const texts = (selector) => all(selector).map((each) => each.textContent.trim());
  const choose = (id, value) => {
    const list = document.getElementById(id);
    list.value = value;
    list.dispatchEvent(new Event("change"));
  };
  const board = () => document.getElementById("board");
  const fits = () => document.documentElement.scrollWidth <= document.documentElement.clientWidth;
"""


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The site of the reference results in the repository."""
    folder = tmp_path_factory.mktemp("reference") / "site"
    build(find_studies("", [ROOT / "docs" / "results"]), folder)
    return folder


@pytest.fixture(scope="module")
def tracked(small, tmp_path_factory):
    """The site of a tracking store, whose runs have scores and pictures."""
    folder = tmp_path_factory.mktemp("tracked")
    tracker, _ = stored(small, folder, (0.2, 1.0))
    build(find_studies(tracker.uri, []), folder / "site")
    return folder / "site"


def opened(page, script, **options):
    """Open a page of a site after it is drawn, and return what the script returns."""
    body = f"(async () => {{ {HELPERS} try {{ {script} }} catch (error) {{ done(String(error)); }} }})();"
    return browse(page.read_text(), body, page.parent, **options)


def test_the_first_page_reads_little_and_leads_to_every_data_set(reference):
    script = """
      await ready(() => document.readyState === "complete");
      const read = all("script[src], link[rel=stylesheet]").map((each) => (each.src || each.href).split("/").pop());
      done([read, texts(".card h3"), texts("thead th button").length > 5, fits()]);
    """
    read, names, sortable, fits = opened(reference / "index.html", script)
    assert (sortable, fits) == (True, True)
    assert set(read) == {"site.css", "site.js"}  # and not the library of the curves
    assert {"MagneticTile", "Textures"} <= set(names)


def test_a_leaderboard_sorts_filters_hides_and_changes_its_metric(reference):
    script = """
      await ready(() => board().dataset.ready && document.querySelector("#curves svg"));
      const names = () => texts("#board tbody th");
      const found = { usual: names(), lines: all("#curves .mark-line path").length };
      const first = () => [...board().tBodies[0].rows].map((row) => row.cells[1].textContent);
      document.querySelector('[data-sort="noise-0"]').click();
      await ready(() => board().querySelector("[aria-sort]").textContent.startsWith("0"));
      found.sorted = first();
      choose("choice-settings", "all");
      await ready(() => board().tBodies[0].rows.length > found.usual.length);
      found.every = names().length;
      all("#methods input").find((box) => box.value === "PatchCore").click();
      await ready(() => !names().includes("PatchCore"));
      document.getElementById("choice-find").value = "ρ 0.1";
      document.getElementById("choice-find").dispatchEvent(new Event("input"));
      await ready(() => names().length < found.every - 1);
      found.found = names();
      choose("choice-metric", "pixel_ap");
      await ready(() => board().dataset.ready.includes("pixel_ap"));
      found.address = location.hash;
      found.answer = texts("#answer p");
      choose("choice-readout", "unseen");
      await ready(() => board().dataset.ready.includes("unseen"));
      found.unseen = texts("#answer p");
      done(found);
    """
    found = opened(reference / "datasets" / "magnetictile.html", script)
    assert "PatchCore" in found["usual"]
    assert found["lines"] == len(found["usual"]) < found["every"]
    assert found["sorted"] == sorted(found["sorted"], reverse=True)
    assert found["found"]
    assert all("ρ 0.1" in name for name in found["found"])
    assert "metric=pixel_ap" in found["address"]
    assert "hide=PatchCore" in found["address"]
    assert re.search(r"from 0\.\d{3} to 0\.\d{3}, [+−]0\.\d{3}", found["answer"][0])
    assert any(
        "injected anomalies are both training and test images" in text for text in found["answer"]
    )
    assert len(found["unseen"]) == len(found["answer"]) - 1


def test_a_number_leads_to_its_runs_by_keyboard(reference):
    script = """
      await ready(() => board().dataset.ready);
      const button = document.querySelector("#board td button");
      button.focus();
      const named = button.getAttribute("aria-label");
      button.click();
      const dialog = document.getElementById("runs");
      const links = all("#runs td a").map((link) => link.getAttribute("href"));
      const title = dialog.querySelector("h2").textContent;
      const open = dialog.open;
      dialog.querySelector("form button").click();
      done([document.activeElement === button, open, dialog.open, named, title, links]);
    """
    page = reference / "datasets" / "magnetictile.html"
    focused, open_, still, named, title, links = opened(page, script)
    assert (focused, open_, still) == (True, True, False)
    assert named.endswith("show the runs")
    assert title.endswith("0 % noise")
    assert links
    assert all((page.parent / link).is_file() for link in links)


def test_a_link_to_a_table_with_choices_shows_these_choices(reference):
    script = """
      await ready(() => board().dataset.ready);
      location.hash = "#metric=pixel_ap&settings=all&hide=MeDS";
      await ready(() => board().dataset.ready.includes("pixel_ap"));
      const shown = texts("#board tbody th").some((name) => name.startsWith("MeDS"));
      done([document.getElementById("choice-metric").value, shown]);
    """
    assert opened(reference / "datasets" / "magnetictile.html", script) == ["pixel_ap", False]


@pytest.mark.parametrize(
    "kind", ["index.html", "runs.html", "datasets/textures.html", "methods/meds.html"]
)
@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_is_wider_than_a_phone(reference, kind, width):
    page = reference / kind
    script = """
      await new Promise((next) => setTimeout(next, 800));
      const before = document.documentElement.dataset.theme;
      document.getElementById("theme").click();
      await new Promise((next) => setTimeout(next, 400));
      done([fits(), innerWidth, before !== document.documentElement.dataset.theme]);
    """
    assert opened(page, script, width=width) == [True, width, True]


def test_a_run_shows_its_misses_with_their_maps_and_filters_its_scores(tracked):
    page = next(iter(sorted((tracked / "runs").glob("*.html"))))
    script = """
      await ready(() => document.getElementById("content").dataset.ready);
      const tiles = all(".tile").map((tile) => tile.style.backgroundImage.slice(5, -2));
      const loaded = await Promise.all([...new Set(tiles)].map((address) => new Promise((found) => {
        const image = new Image();
        image.onload = () => found(image.naturalWidth);
        image.onerror = () => found(0);
        image.src = address;
      })));
      const rows = () => all("#scores tbody tr").length;
      const every = rows();
      choose("scores-kind", "normal");
      const sheet = document.querySelector("img.sheet");
      sheet.loading = "eager";
      await ready(() => sheet.complete);
      done([tiles.length > 0, loaded, every > rows(), sheet.naturalWidth, all("#strip svg path").length > 0, fits()]);
    """
    some, loaded, fewer, width, drawn, fits = opened(page, script)
    assert (some, fewer, drawn, fits) == (True, True, True, True)
    assert all(wide > 0 for wide in loaded)
    assert width > 0

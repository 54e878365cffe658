"""The page of a ranking in a real browser: it fits every view, has names and contrast, and needs no network."""

import pytest

from harness.ranking.page import write
from tests.support.browser import IN_BROWSER, browse
from tests.support.ranking_page import HELPERS, NAMES, open_page
from tests.support.rankings import drawn_ranking

pytestmark = IN_BROWSER


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_view(tmp_path, width):
    script = """
      const root = document.documentElement;
      const fits = (box) => box.scrollWidth <= box.clientWidth;
      const found = [innerWidth, fits(root)];
      boxes[0].focus(); press("Enter");
      found.push(fits(byId("large")), byId("large").getBoundingClientRect().right <= innerWidth);
      found.push(byId("next").getBoundingClientRect().bottom <= innerHeight);
      byId("large").close(); byId("ask").click();
      found.push(fits(byId("help")), byId("help").getBoundingClientRect().right <= innerWidth);
      done(found);
    """
    names = ["a" * 120 + ".png", "b.png", "c/d e.png"]
    ranking = drawn_ranking(tmp_path, names, size=(300, 20), categories=["x" * 60, "b", "c"])
    assert open_page(ranking, script, tmp_path, width=width) == [width, *[True] * 6]


def test_colours_follow_the_system_and_the_switch(tmp_path):
    script = """
      const colour = () => getComputedStyle(document.body).backgroundColor;
      const found = [colour()];
      for (const theme of ["light", "dark", ""]) { set("theme", theme, "change"); found.push(colour()); }
      done(found);
    """
    ranking = drawn_ranking(tmp_path, NAMES)
    light, dark = "rgb(255, 255, 255)", "rgb(22, 24, 27)"
    assert open_page(ranking, script, tmp_path) == [light, light, dark, light]
    options = ["--blink-settings=preferredColorScheme=0"]
    assert open_page(ranking, script, tmp_path, options=options) == [dark, light, dark, dark]


def test_everything_has_a_name_and_colours_have_contrast(tmp_path):
    """WCAG 2.2 asks for a contrast of 4.5 between text and its background."""
    script = """
      const unnamed = [...document.querySelectorAll("button, input, select, img")].filter((one) =>
        !(one.ariaLabel || one.alt || one.labels?.length || one.textContent.trim()) && !one.closest("dialog figure"));
      const probe = document.body.appendChild(document.createElement("i"));
      const linear = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
      const light = (text) => {
        probe.style.color = text;
        const rgb = getComputedStyle(probe).color.match(/[0-9.]+/g).map((value) => linear(value / 255));
        return 0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2];
      };
      const contrasts = [];
      for (const theme of ["light", "dark"]) {
        set("theme", theme, "change");
        for (const ink of ["ink", "faint"]) for (const paper of ["paper", "raised", "remove-paper"]) {
          const [low, high] = [light(`var(--${ink})`), light(`var(--${paper})`)].sort((a, b) => a - b);
          contrasts.push((high + 0.05) / (low + 0.05));
        }
      }
      done([unnamed.map((one) => one.outerHTML), contrasts]);
    """
    unnamed, contrasts = open_page(drawn_ranking(tmp_path, NAMES), script, tmp_path)
    assert unnamed == []
    assert len(contrasts) == 12
    assert min(contrasts) >= 4.5


def test_a_hostile_name_runs_no_code(tmp_path):
    """Neither on its card, nor enlarged, nor in a filter."""
    names = ["<img src=x onerror=document.title=1>.png", '"><script>document.title=1<', "b.png"]
    script = """
      boxes[0].focus(); press("Enter"); press("ArrowRight"); press("x");
      set("category", byId("category").options[1].value, "change");
      setTimeout(() => done([document.title, byId("title").children.length, document.images.length]), 500);
    """
    (tmp_path / "folder").mkdir()
    ranking = drawn_ranking(tmp_path / "folder", [names[0], names[2]], categories=names[:2])
    found = open_page(ranking, script, tmp_path)
    assert found == ["Most suspicious images in folder", 0, 2 * 2 + 1 + 3]


def test_a_missing_folder_of_pictures_is_explained(tmp_path):
    write(drawn_ranking(tmp_path, NAMES), tmp_path / "out")
    text = (tmp_path / "out" / "ranking.html").read_text(encoding="utf-8")
    (tmp_path / "elsewhere").mkdir()
    script = """
      const look = () => (byId("lost").hidden ? setTimeout(look, 50) : done(byId("lost").textContent));
      look();
    """
    assert "ranking_images" in browse(text, HELPERS + script, tmp_path / "elsewhere")


def test_thousands_of_images_load_only_what_is_in_view_and_nothing_from_a_network(tmp_path):
    names = [f"{place}.png" for place in range(2000)]
    script = """
      addEventListener("load", () => setTimeout(() => {
        const loaded = [...document.images].filter((image) => image.naturalWidth).length;
        const addresses = performance.getEntriesByType("resource").map((entry) => entry.name);
        const foreign = addresses.filter((address) => !/^(file|data):/.test(address));
        boxes[0].focus(); press("ArrowLeft"); set("above", 1500, "change"); byId("take").click();
        set("show", "unticked", "change");
        done([boxes.length, loaded, foreign, ticks().length, shown().length]);
      }, 500));
    """
    ranking = drawn_ranking(tmp_path / "images", names, size=(8, 8))
    boxes, loaded, foreign, ticks, shown = open_page(ranking, script, tmp_path)
    assert (boxes, foreign, ticks, shown) == (2000, [], 1500, 500)
    assert 0 < loaded < 300, "a browser must not read thousands of files at once"
    assert (tmp_path / "ranking.html").stat().st_size < 3e6

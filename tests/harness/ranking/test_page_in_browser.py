"""The page of a ranking in a real browser: ticks, keys, cut and filters do what they say, and ticks are kept."""

import numpy as np
import pytest

from harness.images import read_image_list
from harness.ranking.page import write
from tests.support.browser import IN_BROWSER, browse
from tests.support.ranking_page import HELPERS, NAMES, open_page
from tests.support.rankings import drawn_ranking

pytestmark = IN_BROWSER


def test_ticked_images_are_saved_as_a_list(tmp_path):
    names = ['a "b", c.png', "d/e.png", "=1+1.png", "f.png"]
    script = """
      const before = byId("save").disabled;
      let saved;
      URL.createObjectURL = (blob) => { saved = blob; return "data:,"; };
      HTMLAnchorElement.prototype.click = () => {};
      for (const box of boxes.slice(0, 3)) box.click();
      byId("save").click();
      saved.text().then((text) => done([before, byId("save").disabled, byId("count").textContent, text]));
    """
    ranking = drawn_ranking(tmp_path, names)
    before, after, count, text = open_page(ranking, script, tmp_path)
    assert (before, after, count) == (True, False, "3")
    (tmp_path / "remove.csv").write_text(text)
    assert read_image_list(tmp_path / "remove.csv") == names[:3]
    assert ranking.table()["image"][2] in text


def test_keys_move_tick_and_undo_among_the_cards(tmp_path):
    script = """
      const found = [];
      press("ArrowRight"); press("j"); found.push(focused());
      press("x"); found.push(ticks());
      press("k"); press("ArrowLeft"); found.push(focused());
      press("ArrowRight"); press("ArrowRight"); press("x"); found.push(ticks());
      press("k"); press("u"); found.push(ticks(), focused());
      press("z", { ctrlKey: true }); press("u"); found.push(ticks(), byId("undo").disabled);
      byId("name").focus(); press("x"); press("u"); press("ArrowRight"); found.push(ticks(), focused());
      done(found);
    """
    found = open_page(drawn_ranking(tmp_path, NAMES), script, tmp_path)
    assert found == [1, [1], 0, [1, 2], [1], 2, [], True, [], -1]


def test_keys_work_on_the_enlarged_image(tmp_path):
    script = """
      const found = [];
      const at = () => /[0-9]+\\.png/.exec(byId("title").textContent)[0];
      press("ArrowRight"); press("Enter"); found.push(byId("large").open, at());
      press("ArrowRight"); press("j"); press("x"); found.push(at(), byId("tick").checked, ticks());
      press("ArrowRight"); press("u"); found.push(at(), byId("tick").checked, ticks());
      byId("tick").click(); byId("next").click(); found.push(at(), byId("tick").checked, ticks());
      press("z"); found.push(byId("nearest").checkVisibility());
      press("?"); found.push(byId("help").open); press("x"); found.push(ticks()); byId("help").close();
      byId("close").click();
      setTimeout(() => {
        const suspect = byId("suspect").querySelector("img");
        found.push(byId("large").open, focused(), byId("seen").textContent, suspect.naturalWidth);
        done(found);
      }, 500);
    """
    found = open_page(drawn_ranking(tmp_path, NAMES), script, tmp_path)
    assert found[:8] == [True, "0.png", "2.png", True, [2], "2.png", False, []]
    assert found[8:] == ["3.png", False, [2], False, True, [2], False, 3, "4", 40]


def test_the_nearest_image_is_beside_each_suspect(tmp_path):
    script = """
      const source = (id) => byId(id).querySelector("img").src;
      boxes[1].focus(); press("Enter");
      const beside = byId("nearest").querySelector("img").alt;
      const both = [source("suspect"), source("nearest")];
      press("ArrowRight"); press("ArrowRight"); press("ArrowRight"); press("ArrowRight");
      done([beside, byId("nearest").hidden, both[0] === both[1], source("suspect") === both[1]]);
    """
    found = open_page(drawn_ranking(tmp_path, NAMES), script, tmp_path)
    assert found == ["5.png", True, False, True]


def test_a_moved_cut_counts_and_ticks_the_images_above_it(tmp_path):
    script = """
      const found = [];
      const look = () => found.push([Number(byId("above").value), byId("take").disabled,
        document.querySelectorAll("#histogram .above").length]);
      look();
      set("cut", 500, "input"); look();
      byId("take").click(); found.push(ticks());
      boxes[0].click();
      set("above", 4, "change"); look();
      byId("take").click(); found.push(ticks());
      press("u"); found.push(ticks());
      set("cut", 0, "input"); look();
      set("above", 0, "change"); look();
      done(found);
    """
    scores = [1, 0.9, 0.3, 0.2, 0.2, 0]
    found = open_page(drawn_ranking(tmp_path, NAMES, scores=scores), script, tmp_path)
    bars = np.unique(np.minimum(59, np.floor(np.array(scores) * 60))).size
    assert found[:3] == [[0, True, 0], [2, False, 30], [0, 1]]
    # The images at places 3 and 4 have the same score: a cut takes both or none of them.
    assert found[3][:2] == [3, False]
    assert found[4:6] == [[0, 1, 2], [1]]
    assert found[6] == [6, False, 60]
    assert found[7] == [0, True, 0]
    assert bars == 5


def test_filters_choose_cards_and_the_cut_follows_the_category(tmp_path):
    script = """
      const found = [shown()];
      boxes[1].click();
      for (const kind of ["ticked", "unticked", "unseen", "all"]) { set("show", kind, "change"); found.push(shown()); }
      set("name", "B/", "input"); found.push(shown(), byId("shown").textContent);
      set("name", "nothing", "input"); found.push(shown(), byId("none").hidden);
      set("name", "", "input");
      set("category", "b", "change"); found.push(shown());
      press("ArrowRight"); press("ArrowRight"); found.push(focused());
      set("above", 2, "change"); byId("take").click(); found.push(ticks());
      done(found);
    """
    names = [f"{'ab'[place % 2]}/{place}.png" for place in range(6)]
    ranking = drawn_ranking(tmp_path, names, categories=[name[0] for name in names])
    found = open_page(ranking, script, tmp_path)
    others = [0, 2, 3, 4, 5]
    assert found[:5] == [[*range(6)], [1], others, others, [*range(6)]]
    assert found[5:9] == [[1, 3, 5], "3 of 6 shown", [], False]
    assert found[9:] == [[1, 3, 5], 3, [1, 3]]


def test_the_slider_and_a_key_set_the_opacity_of_all_maps(tmp_path):
    script = """
      const found = [];
      const sliders = [...document.querySelectorAll(".opacity")];
      const look = () => found.push(getComputedStyle(document.querySelector(".map")).opacity, sliders[1].value);
      document.head.insertAdjacentHTML("beforeend", "<style>.map { transition: none !important }</style>");
      look();
      sliders[0].value = 80; sliders[0].dispatchEvent(new Event("input")); look();
      press("m"); look(); press("m"); look();
      done(found);
    """
    found = open_page(drawn_ranking(tmp_path, NAMES), script, tmp_path)
    assert found == ["0.55", "55", "0.8", "80", "0", "0", "0.8", "80"]


def test_ticks_and_what_was_looked_at_survive_a_reload_but_not_another_ranking(tmp_path):
    look = 'done([ticks(), byId("seen").textContent, byId("save").disabled, byId("theme").value]);'
    change = """
      boxes[1].click(); boxes[4].click(); boxes[0].focus(); press("Enter");
      set("theme", "dark", "change");
    """
    ranking = drawn_ranking(tmp_path, NAMES)
    assert open_page(ranking, change + look, tmp_path) == [[1, 4], "3", False, "dark"]
    assert open_page(ranking, look, tmp_path) == [[1, 4], "3", False, "dark"]
    other = drawn_ranking(tmp_path, NAMES[::-1])
    assert open_page(other, look, tmp_path) == [[], "0", True, "dark"]


def test_two_tabs_share_their_ticks(tmp_path):
    script = """
      if (window !== top) boxes[3].click();
      else {
        boxes[1].click();
        addEventListener("storage", () => done([ticks(), byId("count").textContent]));
        const tab = document.createElement("iframe");
        tab.src = location.href;
        document.body.append(tab);
      }
    """
    assert open_page(drawn_ranking(tmp_path, NAMES), script, tmp_path) == [[1, 3], "2"]


REFUSALS = {
    "no storage": "Object.defineProperty(window, 'localStorage', { get() { throw new Error('refused'); } });",
    "a full storage": "Storage.prototype.setItem = () => { throw new Error('full'); };",
    "a spoilt storage": "Storage.prototype.getItem = () => '{';",
    "foreign content": """Storage.prototype.getItem = () => '{"ticked": 5, "seen": [99, "a"], "theme": 7}';""",
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_the_page_works_without_the_browsers_storage_and_says_so(tmp_path, refusal):
    write(drawn_ranking(tmp_path, NAMES), tmp_path)
    text = (tmp_path / "ranking.html").read_text(encoding="utf-8")
    text = text.replace("<head>", f"<head><script>{REFUSALS[refusal]}</script>")
    script = 'boxes[2].click(); done([ticks(), byId("count").textContent, byId("unkept").hidden]);'
    kept = refusal in ("a spoilt storage", "foreign content")
    assert browse(text, HELPERS + script, tmp_path) == [[2], "1", kept]

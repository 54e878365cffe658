"""The page of a ranking and its pictures, as files."""

import io
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from harness.errors import InputError
from harness.evaluation.overlay import LEVELS, OPACITY, layer, overlay
from harness.ranking.page import write
from harness.ranking.pictures import FOLDER, LARGE, LARGE_COUNT, THUMBNAIL
from tests.support.rankings import drawn_ranking

HOSTILE = (
    "<img src=x onerror=alert(1)>.png",
    '" onmouseover="alert(2).png',
    "{{ 7 * 7 }}.png",
    "a/<!--.png",
)


class Cards(HTMLParser):
    """Names to tick, larger pictures, and what a browser would fetch."""

    def __init__(self, text):
        super().__init__()
        self.names, self.fetched, self.large, self.handlers = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag == "input" and "value" in given and given.get("type") == "checkbox":
            self.names.append(given["value"])
        self.fetched += [value for key, value in attributes if key in ("src", "href", "data-src")]
        self.large += [value for key, value in attributes if key == "data-large"]
        self.handlers += [key for key in given if key.startswith("on")]


def written(ranking, out):
    write(ranking, out)
    return Cards((out / "ranking.html").read_text(encoding="utf-8"))


def test_the_page_has_a_box_per_image_in_order_and_its_pictures_are_beside_it(tmp_path):
    names = ["b.png", "a.png", "sub/a.png"]
    page = written(drawn_ranking(tmp_path / "images", names), tmp_path / "out")
    assert page.names == names
    addresses = [address for address in page.fetched if not address.startswith("data:")]
    assert len(addresses) == 3 + 3 + 2  # images, anomaly maps, nearest images
    assert all(address.startswith(f"{FOLDER}/") for address in addresses)
    assert {f"{FOLDER}/{file.name}" for file in (tmp_path / "out" / FOLDER).iterdir()} == {
        *addresses,
        *page.large,
    }


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_stays_text(tmp_path, name):
    ranking = drawn_ranking(tmp_path / "images", [name, "b.png"], categories=[name, "b"])
    page = written(ranking, tmp_path / "out")
    assert page.names == [name, "b.png"]
    assert page.handlers == []
    assert "x" not in page.fetched


@pytest.mark.parametrize("size", [(3000, 300), (60, 40)])
def test_pictures_keep_the_shape_of_their_image_and_are_never_enlarged(tmp_path, size):
    page = written(drawn_ranking(tmp_path / "images", ["a.png", "b.png"], size=size), tmp_path)
    for address, side in ((page.large[0], LARGE), (page.large[0].replace("-large", ""), THUMBNAIL)):
        scale = min(1, side / size[0])
        with Image.open(tmp_path / address) as picture:
            assert picture.size == pytest.approx((size[0] * scale, size[1] * scale), abs=1)


def test_only_the_first_suspects_and_their_nearest_images_have_larger_pictures(tmp_path):
    names = [f"{place}.png" for place in range(LARGE_COUNT + 20)]
    ranking = drawn_ranking(tmp_path / "images", names, size=(8, 8))
    assert len(written(ranking, tmp_path / "out").large) == LARGE_COUNT + 1
    assert len(written(replace(ranking, nearest_N=None), tmp_path / "out").large) == LARGE_COUNT
    files = list((tmp_path / "out" / FOLDER).iterdir())
    assert len(files) == 2 * len(names) + LARGE_COUNT  # the earlier larger picture is removed


def test_another_ranking_removes_old_pictures_and_nothing_else(tmp_path):
    ranking = drawn_ranking(tmp_path / "images", ["a.png", "b.png", "c.png"])
    write(ranking, tmp_path)
    mine = tmp_path / FOLDER / "mine.jpg"
    mine.write_bytes(b"mine")
    two = written(drawn_ranking(tmp_path / "images", ["c.png", "a.png"]), tmp_path)
    assert two.names == ["c.png", "a.png"]
    assert len(list((tmp_path / FOLDER).iterdir())) == 2 * 3 + 1
    assert mine.read_bytes() == b"mine"


def test_each_image_is_shown_under_its_own_name_whatever_its_place(tmp_path):
    """A page that is still open after another ranking shows no image under another's name."""
    names = ["a.png", "b.png", "c.png"]
    before = written(drawn_ranking(tmp_path / "images", names), tmp_path)
    shown = {
        name: (tmp_path / address).read_bytes()
        for name, address in zip(before.names, before.large, strict=True)
    }
    ranking = drawn_ranking(tmp_path / "images", names)
    order = [2, 0, 1]
    moved = replace(ranking, images=tuple(names[place] for place in order), nearest_N=None)
    after = written(moved, tmp_path)
    assert dict(zip(after.names, after.large, strict=True)) == dict(
        zip(before.names, before.large, strict=True)
    )
    for name, address in zip(after.names, after.large, strict=True):
        assert (tmp_path / address).read_bytes() == shown[name]


def test_the_digest_of_ticks_changes_with_names_and_scores_only(tmp_path):
    ranking = drawn_ranking(tmp_path / "images", ["a.png", "b.png"])

    def digest(one):
        write(one, tmp_path)
        text = (tmp_path / "ranking.html").read_text()
        return text.split('data-digest="')[1].split('"')[0]

    same = replace(ranking, maps_NSS=ranking.maps_NSS / 2, nearest_N=None)
    assert digest(same) == digest(ranking)
    assert digest(replace(ranking, images=("b.png", "a.png"))) != digest(ranking)
    assert digest(replace(ranking, scores_N=ranking.scores_N / 2)) != digest(ranking)


def test_every_category_has_its_own_range_of_colours(tmp_path):
    """One category's maps are a thousand times as high; both categories show the same colours."""
    ranking = drawn_ranking(tmp_path / "images", ["a.png", "b.png"], categories=["one", "two"])
    low = ranking.maps_NSS[0]
    write(replace(ranking, maps_NSS=np.stack([low, 1000 * low])), tmp_path)
    files = [io.BytesIO(file.read_bytes()) for file in (tmp_path / FOLDER).glob("*-map.png")]
    first, second = (np.asarray(Image.open(file)) for file in files)
    np.testing.assert_array_equal(first, second)
    assert first.max() == LEVELS - 1


def test_an_image_that_cannot_be_read_is_named_and_the_old_page_stays(tmp_path):
    ranking = drawn_ranking(tmp_path / "images", ["a.png", "b.png"])
    write(ranking, tmp_path / "out")
    before = (tmp_path / "out" / "ranking.html").read_bytes()
    (tmp_path / "images" / "b.png").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"b\.png"):
        write(ranking, tmp_path / "out")
    assert (tmp_path / "out" / "ranking.html").read_bytes() == before


def test_a_layer_at_its_opacity_looks_like_the_overlay():
    map_HW = np.random.default_rng(0).random((32, 24))
    image = Image.new("RGB", (24, 32), (90, 160, 30))
    drawn = np.asarray(layer(map_HW).convert("RGBA"), float)
    weight = OPACITY * drawn[..., 3:] / 255
    blended = (1 - weight) * np.asarray(image) + weight * drawn[..., :3]
    difference = np.abs(blended - np.asarray(overlay(image, map_HW), float))
    assert difference.max() < 2 * 255 / LEVELS
    assert difference.mean() < 1

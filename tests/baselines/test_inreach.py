"""InReaCh: channels by hand and against the released loops, and what the filter keeps."""

import shutil

import numpy as np
import pytest

from baselines.inreach import InReaCh, associate, asymmetry, channels, tight, with_positions
from harness.errors import InputError
from harness.features import CategoryFeatures, CategoryImages, ImageSet
from harness.runtime.compute import InProcess

RNG = np.random.default_rng(5)


def points(*values):
    return np.array(values, dtype=np.float32).reshape(len(values), -1)


A, B, C = (0.0, 0.0), (10.0, 0.0), (0.0, 20.0)


def features(*images):
    return np.array(images, dtype=np.float32)


def pairs(images, *, seeds=1, swapped=False):
    """Channels of one seed image, as pairs of patches, by value."""
    found = associate(images[:seeds], (0, images))
    heads, members = channels(found, images.shape[1], swapped=swapped)
    rows = images.reshape(-1, images.shape[2])
    return [
        (tuple(rows[h].tolist()), tuple(rows[m].tolist()))
        for h, m in zip(heads, members, strict=True)
    ]


def test_channels_join_equal_patches_and_the_releases_do_not():
    """T3.1."""
    images = features([A, B, C], [B, C, A])
    assert sorted(pairs(images)) == sorted([(A, A), (B, B), (C, C)])
    assert sorted(pairs(images, swapped=True)) == sorted([(A, C), (B, A), (C, B)])


def test_a_permutation_that_is_its_own_inverse_hides_the_swap():
    """T3.2."""
    images = features([A, B], [B, A])
    assert sorted(pairs(images)) == sorted(pairs(images, swapped=True))


def test_only_mutual_neighbours_are_associated():
    """T3.3."""
    assert pairs(features([[0], [10]], [[1], [2]])) == [((0,), (1,))]


def swapped_reference(images, seeds):
    """Channels as the released code builds them, loop by loop: association rows read with two columns exchanged."""
    members = {}
    for i in range(1, len(images)):
        for x, patch in enumerate(images[i]):
            candidates = []
            for s in range(min(i, seeds)):
                away = np.linalg.norm(images[s] - patch, axis=1)
                t = int(away.argmin())
                back = int(np.linalg.norm(images[i] - images[s][t], axis=1).argmin())
                candidates.append((away[t], s, t, back == x))
            _, s, t, mutual = min(candidates, key=lambda c: c[0])
            if mutual:
                compare_column, seed_column = x, t
                members.setdefault((s, compare_column), []).append((i, seed_column))
    return members


@pytest.mark.parametrize("seed", range(4))
def test_swapped_channels_are_those_of_the_release(seed):
    rng = np.random.default_rng(seed)
    images = rng.standard_normal((9, 16, 3)).astype(np.float32)
    images[1:] = images[0][rng.permutation(16)] + 0.3 * images[1:]
    heads, members = channels(associate(images[:4], (0, images)), 16, swapped=True)
    found = {}
    for head, member in zip(heads.tolist(), members.tolist(), strict=True):
        found.setdefault(divmod(head, 16), []).append(divmod(member, 16))
    expected = swapped_reference(images, 4)
    assert {k: sorted(v) for k, v in found.items()} == {k: sorted(v) for k, v in expected.items()}


def test_short_channels_are_dropped():
    """T3.4."""
    rows = points(*[0.0] * 7)
    heads, members = np.array([0, 0, 3, 3, 3]), np.array([1, 2, 4, 5, 6])
    kept, left = tight(rows, heads, members, std_factor=None)
    assert (kept.tolist(), left) == ([3, 4, 5, 6], 1)


def test_images_that_are_all_alike_are_all_kept():
    """T3.4."""
    images = np.repeat(RNG.standard_normal((1, 9, 4)).astype(np.float32), 5, axis=0)
    heads, members = channels(associate(images[:1], (0, images)), 9)
    assert len(np.unique(heads)) == 9
    bank, left = tight(images.reshape(-1, 4), heads, members, std_factor=None)
    assert (sorted(bank.tolist()), left) == (list(range(45)), 9)


def test_what_is_far_from_the_mean_of_its_channel_is_left_out():
    """T3.5: on a sphere nothing is nearer than zero deviations; one far member of ten is within five."""
    star = points([1, 0], [-1, 0], [0, 1], [0, -1])
    kept, left = tight(star, np.array([0, 0, 0]), np.array([1, 2, 3]))
    assert (len(kept), left) == (0, 0)
    numbers = points(*[0.0] * 9, 10.0)
    assert len(tight(numbers, np.zeros(9, int), np.arange(1, 10))[0]) == 10
    assert len(tight(numbers, np.zeros(9, int), np.arange(1, 10), std_factor=3)[0]) == 9


def test_places_are_added_to_patches():
    """T3.6: the far corner of the published grid."""
    placed = with_positions(np.zeros((1, 56 * 56, 3), dtype=np.float32), 5.0)
    assert placed.shape == (1, 3136, 5)
    assert np.square(placed[0, -1] - placed[0, 0]).sum() == pytest.approx(48.23, abs=0.01)
    np.testing.assert_allclose(placed[0, 57, 3:], 5 / 56)


def test_places_matter_where_the_mean_image_is_not_its_transpose(small):
    """T3.6, and scores that depend on where a patch lies once they do."""
    assert asymmetry(np.ones((6, 6, 3))) == 0
    images = small.train_images
    off, on = (
        InReaCh(min_channel_length=1, std_factor=None, positional=positional)
        .fit(images, seed=0, compute=InProcess())
        .score(images)
        for positional in ("off", "on")
    )
    assert (on >= off * (1 - 1e-5) - 1e-6).mean() > 0.5
    assert not np.array_equal(on, off)
    with pytest.raises(InputError, match="square grid"):
        with_positions(np.zeros((1, 12, 2), dtype=np.float32), 5.0)


def test_inreach_without_a_channel_or_without_pixels_says_so(small, tmp_path):
    with pytest.raises(InputError, match="found no channel of more than 99"):
        InReaCh(min_channel_length=99).fit(small.train_images, seed=0, compute=InProcess())
    (category, *_) = small.train_images.categories
    bare = tmp_path / "bare"
    shutil.copytree(category.features.folder, bare, ignore=shutil.ignore_patterns("pixels*"))
    images = ImageSet((CategoryImages(CategoryFeatures(bare), category.rows_N),))
    with pytest.raises(InputError, match="pixels=True"):
        InReaCh(positional="auto").fit(images, seed=0, compute=InProcess())

"""Folders without the images that a user ticked: whole or not at all, and nothing is lost."""

import errno
import shutil

import pytest

from harness.images import read_image_list
from harness.ranking.folder import find_images
from harness.ranking.removal import clean


@pytest.mark.parametrize("copy", [False, True])
def test_a_cleaned_folder_has_all_other_images_and_nothing_is_lost(folder, tmp_path, copy):
    names = find_images(folder)
    saved = tmp_path / "remove.csv"
    saved.write_text(f'image\n"{names[0]}"\n"{names[3]}"\n')
    left = clean(folder, read_image_list(saved), tmp_path / "clean", copy=copy)
    assert left == len(names) - 2
    assert find_images(tmp_path / "clean") == [n for n in names if n not in (names[0], names[3])]
    assert find_images(folder) == names
    one = tmp_path / "clean" / names[1]
    assert one.is_symlink() != copy
    assert one.read_bytes() == (folder / names[1]).read_bytes()


def test_a_cleaned_folder_is_there_whole_or_not_at_all(folder, tmp_path, monkeypatch):
    names, copied = find_images(folder), []

    def full(source, place):
        copied.append(place)
        place.write_bytes(source.read_bytes())
        if len(copied) == 3:
            raise OSError(errno.ENOSPC, "No space left on device", str(place))

    monkeypatch.setattr(shutil, "copy2", full)
    with pytest.raises(OSError, match="No space left"):
        clean(folder, names[:1], tmp_path / "clean", copy=True)
    assert list(tmp_path.iterdir()) == []
    assert find_images(folder) == names

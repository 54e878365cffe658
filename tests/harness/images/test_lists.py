"""Lists of images, as spreadsheets and people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import InputError
from harness.images import listed_name, read_image_list

NAMES = ["normal/000.png", "normal/geprüft (1).png"]


@pytest.fixture
def file(tmp_path):
    return tmp_path / "list.csv"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("first", ["", "sep={}"])
def test_encodings_delimiters_and_ends_of_lines_are_understood(
    file, encoding, delimiter, end, first
):
    cells = [
        ["note", "image", ""],
        ["old", NAMES[0], ""],
        ["", "", ""],
        ['"a"', f'"{NAMES[1]}"', ""],
    ]
    lines = [delimiter.join(row) for row in cells]
    text = end.join([first.format(delimiter), *lines] if first else lines) + end
    file.write_bytes(text.encode(encoding))
    assert read_image_list(file) == NAMES


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1),
        min_size=1,
    )
)
def test_a_ranking_round_trips_through_a_list(tmp_path_factory, names):
    import pandas as pd

    file = tmp_path_factory.mktemp("lists") / "ranking.csv"
    names = [name for name in names if not name.startswith("./")] or ["a"]
    pd.DataFrame({"rank": 1, "image": [listed_name(name) for name in names]}).to_csv(
        file, index=False
    )
    assert read_image_list(file) == names
    cells = pd.read_csv(file, dtype=str, keep_default_na=False)["image"]
    assert not cells.str.startswith(("=", "+", "-", "@")).any()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "It has no line"),
        (b"file\na.png\n", r"It has the columns 'file' and 1 rows"),
        (b"image\n", r"It has the columns 'image' and 0 rows"),
        (b"image,note\n,x\n", r"row 2 does not fit the header, it is \['', 'x'\]"),
        (b"image\na,b.png\n", r"row 2 does not fit the header.*in double quotes"),
        ("image\na.png\n".encode("utf-16-le"), "not text in UTF-8, UTF-16"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "not text in UTF-8, UTF-16"),
        (b'image\n"' + b"a" * 200_000, "is not a CSV file"),
    ],
)
def test_other_content_is_a_paragraph_that_says_what_was_seen(file, content, text):
    file.write_bytes(content)
    with pytest.raises(InputError, match=text):
        read_image_list(file)


def test_what_is_no_file_is_named(tmp_path):
    for place in (tmp_path, tmp_path / "nothing.csv"):
        with pytest.raises(InputError, match="does not exist"):
            read_image_list(place)

"""Names of numbers: MLflow takes every category, and gets it back."""

from hypothesis import given
from hypothesis import strategies as st
from mlflow.utils.validation import _validate_metric_name

from harness.metrics.names import ALL, MetricName

CATEGORIES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1)


@given(CATEGORIES.filter(lambda name: name not in (".", "..")))
def test_every_name_of_a_folder_is_tracked_and_read_back(category):
    name = MetricName(ALL, "image_auroc", category)
    _validate_metric_name(str(name))  # raises on a name that MLflow refuses
    assert MetricName.parse(str(name)) == name
    assert len(str(name).split("/")) == 3


@given(st.text(st.sampled_from("abc_0189-. é"), min_size=1))
def test_names_that_were_tracked_before_stay(category):
    assert str(MetricName(ALL, "image_auroc", category)) == f"all/image_auroc/{category}"

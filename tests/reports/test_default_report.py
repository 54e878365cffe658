"""The report of a study without one: a curve per method, and names that tell settings apart."""

from dataclasses import replace

import pytest

from harness.config.discovery import study_name
from harness.detectors import MemoryDetector
from harness.memory import MemoryEnsemble
from reports.pages.modules import report_of
from reports.plots import methods
from reports.tables.labels import METRICS
from sweeps.profiles import PROFILES
from tests.support.tracked_rows import tracked_rows

SMOKE = PROFILES["smoke"]
MEMORIES = [MemoryDetector(memory=MemoryEnsemble(ratio=ratio)) for ratio in (0.1, 0.5)]


@pytest.fixture
def results():
    detectors = [*MEMORIES, SMOKE.plain]
    experiments = [SMOKE.experiment(each, ratio) for each in detectors for ratio in (0.0, 0.4)]
    experiments += [replace(experiment, seed=1) for experiment in experiments[-2:]]
    return tracked_rows(experiments, categories=("a", "b"))


def test_methods_with_several_settings_are_named_with_those_that_differ(results):
    names = list(methods.table(results)["method"].unique())
    assert names == ["memory ensemble, ratio 0.1", "memory ensemble, ratio 0.5", "plain network"]
    plain = methods.table(results).query("method == 'plain network'")
    assert [str(seeds) for seeds in plain["seeds"].head(2)] == ["2", "2"]
    assert plain[METRICS["image_auroc"]].str.contains("±").all()


def test_every_metric_has_a_panel_with_a_curve_per_method(results):
    left, right = methods.draw(results).axes
    assert [axes.get_ylabel() for axes in (left, right)] == ["image AUROC", "pixel AP"]
    for axes in (left, right):
        assert len(axes.lines) == 3
        assert all(list(line.get_xdata()) == [0.0, 0.4] for line in axes.lines)


def test_a_file_has_the_parts_that_it_defines_and_defaults_for_the_others(tmp_path):
    file = tmp_path / "partly_drawn.py"
    file.write_text("TITLE = 'Mine'\nPROFILE = 'smoke'\n")
    report = report_of(str(file))
    assert (report.TITLE, report.PROFILE, report.draw) == ("Mine", "smoke", methods.draw)
    assert study_name(str(file)) == "partly_drawn"
    assert report_of("rho").__name__ == "reports.rho"
    with pytest.raises(LookupError):
        report_of("nothing")

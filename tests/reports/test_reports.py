"""Reports: figures, tables and pages are functions of the results, and say what they show."""

import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib.figure import Figure

from reports import baselines, ensemble_size, gain, label_correction, releases, rho, theorem
from reports.plots.style import STYLE, add_footnote
from reports.tables.labels import METRICS


@pytest.fixture
def results():
    """Results as the tracker gives them: text for parameters, one row per metric and category."""
    rows = []
    for noise in ("0.0", "0.2"):
        for detector, ratio in [
            ("MemoryDetector", "0.1"),
            ("MemoryDetector", "1.0"),
            ("MeDS", "0.1"),
            ("PlainNetwork", None),
        ]:
            for category in ("brick", "mean"):
                for metric in METRICS:
                    value = 0.9 - float(noise) * float(ratio or 0.5) - 0.1 * (category == "brick")
                    rows.append((detector, noise, ratio, "all", metric, category, value))
            rows.append((detector, noise, ratio, "data", "contamination", "brick", 0.17))
            rows.append((detector, noise, ratio, "data", "unseen", "brick", 30))
    columns = [
        "detector",
        "noise.ratio",
        "detector.memory.ratio",
        "readout",
        "metric",
        "category",
        "value",
    ]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.assign(run_id=frame["detector"], dataset="Textures", seed="0").assign(
        **{"noise.seed": "0"}
    )


def test_the_figure_has_a_curve_per_noise_ratio_in_both_panels(results):
    left, right, below, _ = rho.draw(results).axes
    assert [axes.get_ylabel() for axes in (left, below)] == ["image AUROC", "pixel AP"]
    labelled = [line for line in left.lines if not line.get_label().startswith("_")]
    assert [line.get_label() for line in labelled] == ["0%", "20%"]
    assert list(labelled[1].get_xdata()) == [0.1, 1.0]
    assert list(labelled[1].get_ydata()) == pytest.approx([0.88, 0.7])
    assert left.get_xscale() == "log"
    dotted = [line for line in right.lines if line.get_linestyle() == ":" and len(line.get_xdata())]
    assert sorted(line.get_ydata()[0] for line in dotted) == pytest.approx([0.8, 0.9])


def test_meds_at_a_single_ratio_is_in_the_panel_of_all_methods_alone(results):
    plain = results[results["detector"] == "PlainNetwork"]
    further = pd.concat([results, plain.assign(detector="PatchCore", run_id="further")])
    meds = results[results["detector"] == "MeDS"]
    wider = pd.concat([further, meds.assign(**{"run_id": "wider", "detector.memory.ratio": "1.0"})])
    for rows, panels in ((further, ["Memory", "All"]), (wider, ["Memory", "MeDS", "All"])):
        figure = rho.draw(rows)
        titles = [axes.get_title() for axes in figure.axes[: len(panels)]]
        assert [title.partition(" ")[0].strip(",") for title in titles] == panels
        legends = [text.get_text() for each in figure.legends for text in each.get_texts()]
        # One stands for the dotted lines beside MeDS, the other for the curve of the last panel.
        assert legends.count("plain network") == len(panels) - 1
        assert "PatchCore" in legends


def test_the_table_has_a_row_per_point_and_category(results):
    table = rho.table(results)
    assert len(table) == 2 * 4  # a single category has no mean beside it
    assert list(table["method"].unique()) == ["memory ensemble", "MeDS", "plain network"]
    row = table.query(
        "method == 'memory ensemble' and noise == 0.2 and rho == 1 and category == 'brick'"
    )
    assert row["image AUROC"].item() == pytest.approx(0.6)
    plain = table.query("method == 'plain network'")
    assert plain["rho"].isna().all()
    assert table.query("category == 'brick'")["contamination"].eq(0.17).all()
    assert table.query("category == 'brick'")["unseen"].eq(30).all()


def test_the_gain_is_a_mean_with_its_spread_over_seeds(results):
    plain = results[results["detector"] == "PlainNetwork"]
    seeds = pd.concat(
        [
            plain.assign(seed=str(seed), run_id=str(seed), value=plain["value"] + 0.01 * seed)
            for seed in range(3)
        ]
    ).assign(**{"detector.network.discard": "0.9"})
    table = gain.table(seeds)
    assert list(table["method"]) == ["plain network, discard 0.9"] * 2
    assert list(table["image AUROC"]) == ["0.910 ± 0.010", "0.810 ± 0.010"]
    assert [str(runs) for runs in table["seeds"]] == ["3", "3"]
    (axes,) = gain.draw(seeds).axes
    assert sorted(axes.lines[0].get_ydata()) == pytest.approx([0.9, 0.91, 0.92])


def test_the_theorem_is_drawn_with_both_terms_and_a_panel_of_histograms_per_noise_ratio(results):
    measured = {name: float(i) for i, name in enumerate(theorem.COLUMNS)} | {"largest_score": 2.0}
    measured |= {
        "normal_patches_00": 0.75,
        "normal_patches_01": 0.25,
        "anomalous_patches_00": 0.0,
        "anomalous_patches_01": 1.0,
    }
    row = results.iloc[0].to_dict()
    rows = [
        {**row, "noise.ratio": noise, "detector.memory.ratio": ratio, "category": category}
        | {"readout": "training", "metric": metric, "value": value}
        for noise in ("0.1", "0.4")
        for ratio in ("0.05", "0.2", "1.0")
        for category in ("brick", "mean")
        for metric, value in measured.items()
    ]
    everything = pd.concat([results, pd.DataFrame(rows)], ignore_index=True)
    gaps, aurocs, *panels = theorem.draw(everything).axes
    assert [line.get_linestyle() for line in gaps.lines] == ["-", "--"] * 2
    assert len(aurocs.lines) == 2
    assert [axes.get_title() for axes in panels[:2]] == ["noise 10%", "noise 40%"]
    for axes, auroc in zip(panels[:2], panels[2:], strict=True):
        assert [text.get_text() for text in axes.get_xticklabels()] == ["0.05", "0.2", "1"]
        normal, anomalous = axes.patches[1].get_data(), axes.patches[4].get_data()
        assert normal.edges.tolist() == anomalous.edges.tolist() == [0, 1, 2]
        assert normal.values == pytest.approx([1 - theorem.HALF, 1 - theorem.HALF / 3])
        assert anomalous.values == pytest.approx([1, 1 + theorem.HALF])
        assert [line.get_ydata()[0] for line in axes.lines[:2]] == [0.75, 1.5]
        assert list(auroc.lines[0].get_ydata()) == [5.0] * 3
    table = theorem.table(everything)
    assert len(table) == 2 * 3  # a single category has no mean beside it
    assert list(table.columns[4:]) == list(theorem.COLUMNS.values())


def test_histograms_of_the_theorem_are_of_a_category_whatever_its_name(results):
    row = results.iloc[0].to_dict()
    shares = {f"{group}_patches_00": 1.0 for group in theorem.GROUPS}
    measured = dict.fromkeys(theorem.COLUMNS, 0.5) | {"largest_score": 2.0} | shares
    rows = [
        {**row, "category": category, "readout": "training", "metric": metric, "value": value}
        for category in ("tile", "wood", "mean")
        for metric, value in measured.items()
    ]
    axes = theorem.draw(pd.DataFrame(rows)).axes
    assert axes[2].get_ylabel() == "memory score, tile"


def test_label_correction_has_a_bar_per_method_and_noise_above_the_contamination(results):
    row = results.query("detector != 'MemoryDetector'").drop_duplicates("detector")
    values = {"label_auprc": 0.9, "inspection_depth": 0.3}
    shifts = {"brick": 0.0, "grass": 0.04, "mean": 0.02}
    rows = [
        row.assign(
            **{"noise.ratio": noise}, readout="training", metric=metric, category=category
        ).assign(value=value + shift)
        for noise in ("0.1", "0.2")
        for metric, value in values.items()
        for category, shift in shifts.items()
    ]
    counts = row.assign(readout="data", metric="contamination", category="brick", value=0.17)
    floors = [counts.assign(**{"noise.ratio": noise}) for noise in ("0.1", "0.2")]
    found = pd.concat([*rows, *floors], ignore_index=True)
    left, right = label_correction.draw(found).axes
    assert [bar.get_height() for bar in left.patches] == pytest.approx([0.92] * 4)
    assert [bar.get_height() for bar in right.patches] == pytest.approx([0.32] * 4)
    assert right.get_legend_handles_labels()[1] == ["MeDS", "plain network"]
    table = label_correction.table(found)
    assert list(table.columns) == [
        "noise",
        "method",
        "category",
        "AUPRC",
        "inspection depth",
        "runs",
    ]
    assert len(table) == 2 * 2 * 3


def test_a_curve_has_a_point_per_value_and_infinity_at_the_right(results):
    memory = results[results["detector"] == "MemoryDetector"]
    sizes = pd.concat(
        [
            memory.assign(**{"detector.memory.size": size}, seed=str(seed), run_id=str(seed))
            for size in ("1", "10", "None")
            for seed in range(1 if size == "None" else 2)
        ]
    ).query("`detector.memory.ratio` == '0.1'")
    left, right = ensemble_size.draw(sizes).axes
    assert [axes.get_ylabel() for axes in (left, right)] == ["image AUROC", "pixel AP"]
    assert [text.get_text() for text in left.get_xticklabels()] == ["1", "10", "∞"]
    assert list(left.lines[0].get_xdata()) == [0, 1, 2]
    assert list(left.lines[0].get_ydata()) == pytest.approx([0.9, 0.9, 0.9])
    table = ensemble_size.table(sizes)
    assert list(table["memories B"]) == [1, 1, 10, 10, float("inf"), float("inf")]
    assert [str(runs) for runs in table["seeds"]] == list("222211")
    assert table["image AUROC"].iloc[0] == "0.900 ± 0.000"
    assert table["image AUROC"].iloc[-1] == "0.880"


def test_the_methods_are_summed_up_in_the_papers_columns(results):
    methods = {"MemoryDetector": "PatchCore", "PlainNetwork": "PlainNetwork", "MeDS": "MeDS"}
    chosen = results[results["detector.memory.ratio"] != "1.0"]
    rows = chosen.assign(detector=chosen["detector"].map(methods))
    rows["detector.scope"] = "category"
    for_all = rows[rows["detector"] == "PatchCore"].assign(**{"detector.scope": "all"})
    table = baselines.summary(pd.concat([rows, for_all, rows.assign(readout="unseen")]))
    metrics = ["image AUROC, %", "image AP, %", "pixel AUPRO, %", "pixel AP, %"]
    assert list(table.columns) == ["noise", "read-out", "method", *metrics, "runs"]
    assert list(table["method"].unique()) == [
        "MeDS",
        "plain network",
        "PatchCore",
        "PatchCore, all categories",
    ]
    row = table.query("method == 'plain network' and `read-out` == 'all' and noise == '20%'")
    assert [str(row[metric].item()) for metric in metrics] == ["80.0"] * 4


def test_released_baselines_are_told_apart(results):
    rows = results[results["detector"] == "MemoryDetector"].drop(columns="detector")
    kinds = [
        {"detector": "PatchCore", "detector.squared": "False"},
        {"detector": "PatchCore", "detector.squared": "True"},
        {"detector": "SoftPatch", "detector.squared": "True", "detector.lof_k": "6"},
        {"detector": "SoftPatch", "detector.squared": "True", "detector.lof_k": "5"},
        {"detector": "InReaCh", "detector.compat_index_swap": "True"},
        {"detector": "FunAD", "detector.ms_on_noised": "True"},
    ]
    table = releases.table(pd.concat([rows.assign(**kind) for kind in kinds]))
    assert list(table["method"].unique()) == [
        "FUN-AD, released",
        "InReaCh, released",
        "PatchCore",
        "PatchCore, released",
        "SoftPatch",
        "SoftPatch, released",
    ]


@pytest.mark.parametrize("name", ["a", "distilled model + adaptive memory, ρ 0.1"])
def test_no_legend_hides_a_footnote(name):
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(18, 4), layout="constrained")
        figure.subplots().plot([1, 2], label=name)
        figure.legend(loc="outside right lower", title="All methods")
        add_footnote(figure, "The injected images are drawn in each category. " * 12)
        figure.draw_without_rendering()
    note, legend = figure.get_supxlabel(), figure.legends[0].get_window_extent()
    (footnote,) = (text for text in figure.texts if text.get_text() == note)
    assert footnote.get_window_extent().x1 < legend.x0
    assert footnote.get_window_extent().x1 > 0.6 * legend.x0

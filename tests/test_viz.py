"""Figures: numbers in, numbers out; sizes, labels, alternative text, and hostile strings."""

from __future__ import annotations

import json

import numpy as np
import pytest

from canonlib import viz
from canonlib.errors import ConfigError
from canonlib.viz.figures import spread
from canonlib.viz.stitching import _root_ticks, signed_root
from canonlib.viz.template import FALLBACK_LIMIT, canon_template

HOSTILE = "</script><b>&\"'"


def relative_luminance(color: str) -> float:
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    high, low = sorted((relative_luminance(a), relative_luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_contrast_of_black_on_white_is_21():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("color", [viz.SMALL, viz.LARGE, viz.META, viz.TRUTH, viz.CONTROL, *viz.NEUTRAL])
def test_every_meaning_is_readable_on_the_light_and_the_dark_page(color):
    assert contrast(color, "#ffffff") >= 3
    assert contrast(color, "#121212") >= 3


def test_neutral_hues_are_no_meaning_and_an_architecture_has_one():
    meanings = {viz.SMALL, viz.LARGE, viz.META, viz.TRUTH, viz.CONTROL, *viz.SIZE_RAMP}
    assert len(set(viz.NEUTRAL) | meanings) == len(viz.NEUTRAL) + len(meanings)
    assert set(viz.ARCHITECTURES.values()) <= set(viz.NEUTRAL)
    assert len(set(viz.ARCHITECTURES.values())) == len(viz.ARCHITECTURES) == 6


def test_size_ramp_runs_from_light_to_dark():
    lights = [relative_luminance(c) for c in viz.size_colors(8)]
    assert lights == sorted(lights, reverse=True)
    assert len(set(viz.size_colors(8))) == 8
    assert viz.size_colors(1) == [viz.SIZE_RAMP[-1]]
    assert viz.size_colors(2) == [viz.SIZE_RAMP[0], viz.SIZE_RAMP[-1]]
    with pytest.raises(ConfigError, match="number of sizes"):
        viz.size_colors(0)


def test_template_is_compact():
    assert len(canon_template().to_plotly_json()["layout"]) > 5
    assert len(json.dumps(canon_template().to_plotly_json())) < 1600


def line(**more):
    return viz.line_by_size([32, 64, 128], {"a": [3, 2, 1], "b": [1, 1, 1]}, title="T", y="FVU", **more)


def test_line_keeps_the_numbers_as_float32():
    figure = line()
    assert figure.data[0].y.dtype == np.float32
    np.testing.assert_array_equal(figure.data[0].x, [32, 64, 128])
    np.testing.assert_array_equal(figure.data[0].y, [3, 2, 1])


def test_line_labels_its_ends_apart_and_in_the_lines_colour():
    figure = line(colors={"a": viz.META})
    labels = {a.text: a for a in figure.layout.annotations}
    assert set(labels) == {"a", "b"}
    assert labels["a"].font.color == figure.data[0].line.color == viz.META
    assert labels["a"].x == pytest.approx(np.log10(128))
    assert abs(labels["a"].y - labels["b"].y) >= 0.074 * 2  # both lines end at 1


def test_line_axis_ticks_are_the_sizes():
    axis = line().layout.xaxis
    assert axis.type == "log"
    assert list(axis.tickvals) == [32, 64, 128]
    assert list(axis.ticktext) == ["32", "64", "128"]


def test_controls_are_dashed_and_grey():
    figure = line(controls=["b"])
    assert figure.data[1].line.dash == "dash"
    assert figure.data[1].line.color == viz.CONTROL
    assert figure.data[0].line.dash is None


def test_lines_of_one_colour_are_told_apart_by_dots():
    figure = viz.line_by_size([1, 2], {"a": [1, 2], "c": [0, 0], "b": [2, 3]}, title="T", y="y", controls=["c"],
                              colors={"a": viz.TRUTH, "b": viz.TRUTH})  # fmt: skip
    assert [trace.line.dash for trace in figure.data] == [None, "dash", "dot"]


def test_one_label_may_speak_for_several_lines():
    figure = line(labels={"a": "", "b": "both:<br>low"})
    (label,) = figure.layout.annotations
    assert label.text == "both:<br>low"
    assert (label.y, label.yanchor) == (1, "bottom")  # above the end of b, not around it
    assert figure.layout.margin.r == 24 + 8 * len("both:")
    assert [trace.name for trace in figure.data] == ["a", "b"]  # hover still names each
    with pytest.raises(ConfigError, match="zzz"):
        line(labels={"zzz": ""})


def test_band_encloses_low_and_high():
    figure = line(bands={"a": ([2, 1, 0], [4, 3, 2])})
    np.testing.assert_array_equal(figure.data[0].y, [4, 3, 2, 0, 1, 2])
    np.testing.assert_array_equal(figure.data[0].x, [32, 64, 128, 128, 64, 32])


def test_line_survives_nan_and_labels_the_last_finite_point():
    figure = viz.line_by_size([1, 2], {"a": [5, np.nan]}, title="T", y="y")
    assert figure.layout.annotations[0].y == 5
    viz.line_by_size([1, 2], {"a": [np.nan, np.nan]}, title="T", y="y")


@pytest.mark.parametrize("more", [{"controls": ["zzz"]}, {"colors": {"zzz": "#000000"}}])
def test_line_names_an_unknown_series(more):
    with pytest.raises(ConfigError, match="zzz"):
        line(**more)


def test_line_refuses_other_lengths_and_names_the_series():
    with pytest.raises(ConfigError, match=r"series\['a'\] must have 2 entries, got 3"):
        viz.line_by_size([1, 2], {"a": [1, 2, 3]}, title="T", y="y")


def test_spread_moves_apart_and_keeps_order():
    placed = spread([1.0, 1.0, 0.0], 0.5)
    assert placed[2] < placed[0] <= placed[1] - 0.5 + 1e-9
    assert spread([0.0, 2.0], 0.5) == [0.0, 2.0]


def test_signed_root_by_hand():
    np.testing.assert_allclose(signed_root([-4, 0, 9]), [-2, 0, 3])


def test_effect_scatter_splits_by_sign_and_keeps_raw_effects_for_hover():
    figure = viz.effect_scatter([0.1, 0.9, 0.5], [-4, 9, 0], title="T", hover=["p", "q", "r"], threshold=0.4)
    by_name = {t.name: t for t in figure.data}
    assert by_name["novel"].marker.color == viz.LARGE
    assert list(by_name["novel"].text) == ["p"]
    np.testing.assert_allclose(by_name["novel"].y, [-2])
    np.testing.assert_allclose(by_name["novel"].customdata, [-4])
    assert list(by_name["reconstruction"].text) == ["q", "r"]  # no effect counts as reconstruction
    texts = " ".join(a.text for a in figure.layout.annotations)
    assert "threshold 0.40" in texts
    assert "novel</b> (1)" in texts
    assert "reconstruction</b> (2)" in texts


def test_effect_scatter_refuses_hover_of_another_length():
    with pytest.raises(ConfigError, match="hover must have 2 entries, got 1"):
        viz.effect_scatter([0, 1], [0, 1], title="T", hover=["p"])


def test_root_ticks_stand_where_their_text_says():
    ticks = _root_ticks(np.float32([-4, 1]))
    for at, text in zip(ticks["tickvals"], ticks["ticktext"], strict=True):
        assert np.sign(at) * at**2 == pytest.approx(float(text), abs=1e-6)
    assert "-4" in ticks["ticktext"]
    assert "0" in ticks["ticktext"]


def test_roc_has_a_chance_line_and_auc_labels():
    figure = viz.roc_figure({"32 → 64": ([0, 1], [0, 1]), "64 → 128": ([0, 0, 1], [0, 0.9, 1])}, title="T",
                            aucs={"64 → 128": 0.954}, highlight=["64 → 128"])  # fmt: skip
    assert [t.name for t in figure.data] == ["chance", "32 → 64", "64 → 128: AUC 0.95"]
    assert figure.data[0].line.dash == "dash"
    assert figure.data[1].line.color == viz.CONTROL != figure.data[2].line.color
    (label,) = figure.layout.annotations  # points at the knee of the curve that is highlighted
    assert (label.text, label.x, label.y) == ("64 → 128: AUC 0.95", 0, pytest.approx(0.9))
    for curves, highlight in (({}, []), ({"a": ([0, 1], [0, 1])}, ["b"])):
        with pytest.raises(ConfigError, match="at least one"):
            viz.roc_figure(curves, title="T", highlight=highlight)


def test_a_line_that_ends_early_is_labelled_at_its_beginning():
    nan = float("nan")
    figure = viz.line_by_size([8, 16, 32, 64], {"inner": [nan, 2, 1, nan], "whole": [1, 2, 3, 4]}, title="T", y="y")
    at = {a.text: (10**a.x, a.xanchor) for a in figure.layout.annotations}
    assert at["inner"] == (pytest.approx(16), "right")
    assert at["whole"] == (pytest.approx(64), "left")


def test_a_level_is_dashed_and_has_no_points():
    figure = line(levels={"paper": 2.0})
    paper = figure.data[-1]
    assert (paper.name, paper.mode, paper.line.dash) == ("paper", "lines", "dash")
    np.testing.assert_array_equal(paper.y, [2, 2])
    assert "paper" in [a.text for a in figure.layout.annotations]


def test_heatmap_checks_both_axes():
    figure = viz.fact_heatmap(np.eye(2), ["r1", "r2"], ["c1", "c2"], title="T")
    np.testing.assert_array_equal(figure.data[0].z, np.eye(2))
    with pytest.raises(ConfigError, match="3 column names"):
        viz.fact_heatmap(np.eye(2), ["r1", "r2"], ["a", "b", "c"], title="T")
    with pytest.raises(ConfigError, match="values must have 1 entries"):
        viz.fact_heatmap(np.eye(2), ["r1"], ["a", "b"], title="T")


def test_bars_write_values_beyond_the_whiskers():
    figure = viz.bars(["a", "b"], [0.5, -0.25], title="T", y="y", percent=True, errors=[0.1, 0.05])
    first, second = figure.layout.annotations
    assert (first.text, second.text) == ("50%", "-25%")
    assert first.y == pytest.approx(0.6)
    assert second.y == pytest.approx(-0.3)
    with pytest.raises(ConfigError, match="errors"):
        viz.bars(["a"], [1], title="T", y="y", errors=[-1])
    with pytest.raises(ConfigError, match="errors"):
        viz.bars(["a"], [1], title="T", y="y", errors=[1, 2])


def test_words_are_darkened_only_where_they_could_not_be_read():
    from canonlib.viz.figures import legible

    assert [legible(c) for c in (viz.SMALL, viz.META, viz.TRUTH, "#000000")] == [
        viz.SMALL, viz.META, viz.TRUTH, "#000000"]  # fmt: skip
    assert legible("#ffffff") == "#8f8f8f"  # 3.2 on white; the next lighter step has less than 3.05
    pale = line(colors={"a": "#b79ad1"}).layout.annotations[0].font.color
    assert pale < "#b79ad1"


def test_meta_graph_draws_each_other_latent_once_and_every_edge():
    figure = viz.meta_graph("E", {"m1": 0.5, "m2": 0.25}, {"m1": ["p", "q", "E"], "m2": ["q"]}, title="T")
    edges = [t for t in figure.data if t.mode == "lines"]
    assert len(edges) == 2 + 3  # E-m1, E-m2, m1-p, m1-q, m2-q; no edge from the centre back to itself
    center, metas, others = [t for t in figure.data if t.mode.startswith("markers")]
    assert list(center.text) == ["E"]
    assert list(metas.text) == ["m1 (0.50)", "m2 (0.25)"]
    assert sorted(others.text) == ["p", "q"]
    assert edges[0].line.width > next(e for e in edges if e.x[0] == 0 and e.y[-1] < 0).line.width
    with pytest.raises(ConfigError, match="stranger"):
        viz.meta_graph("E", {"m1": 1}, {"stranger": ["p"]}, title="T")


@pytest.mark.parametrize("figure", [
    line(alt="words"), viz.bars(["a"], [1], title="T", y="y", alt="words"),
    viz.effect_scatter([0.5], [1], title="T", alt="words"),
    viz.fact_heatmap([[1.0]], ["r"], ["c"], title="T", alt="words"),
    viz.roc_figure({"a": ([0, 1], [0, 1])}, title="T", alt="words", highlight=["a"]),
    viz.meta_graph("E", {"m": 1}, {}, title="T", alt="words"),
])  # fmt: skip
def test_every_figure_has_its_alternative_text_and_no_fixed_width(figure):
    assert figure.layout.meta["alt"] == "words"
    assert figure.layout.width is None
    assert figure.layout.height


def test_alt_falls_back_to_the_title_or_a_description():
    assert line().layout.meta["alt"] == "T"
    shown = viz.meta_graph("E", {"m1": 1}, {"m1": ["p"]}, title="T").layout.annotations
    assert [(a.text, a.bgcolor) for a in shown] == [
        ("E", "white"),
        ("m1 (1.00)", "white"),
    ]  # names cover the lines behind them
    assert "m1 (shared with p)" in viz.meta_graph("E", {"m1": 1}, {"m1": ["p"]}, title="T").layout.meta["alt"]


@pytest.fixture
def canon_renderer():
    import plotly.io as pio

    before = pio.templates.default, pio.renderers.default
    viz.setup_plotly()
    yield pio.renderers["canon"]
    pio.templates.default, pio.renderers.default = before


def test_shown_figures_are_the_same_every_time_and_safe(canon_renderer):
    figure = viz.effect_scatter([0.5], [1], title=HOSTILE, hover=[HOSTILE])
    first, second = (canon_renderer.to_mimebundle(figure.to_dict()) for _ in range(2))
    assert first == second
    assert set(first) == {"application/vnd.plotly.v1+json", "text/html"}
    html = first["text/html"]
    assert html.count("</script>") == html.count("<script")
    assert HOSTILE not in html


def test_large_figures_have_no_html_twin(canon_renderer):
    n = FALLBACK_LIMIT // 20
    figure = viz.effect_scatter(np.linspace(0, 1, n), np.ones(n), title="T", hover=["x" * 20] * n)
    assert set(canon_renderer.to_mimebundle(figure.to_dict())) == {"application/vnd.plotly.v1+json"}


def test_token_views_are_the_same_every_time_and_safe():
    one, two = (viz.colored_tokens(["a", HOSTILE], np.float32([1 / 3, 0])) for _ in range(2))
    assert one.to_html() == two.to_html()
    assert one.to_html() != viz.colored_tokens(["a", "b"], [1 / 3, 0]).to_html()
    assert one.to_html().count("</script>") == 1
    assert one.props["values"] == [0.3333, 0.0]
    assert one.props["tokens"] == ["a", "&lt;/script&gt;&lt;b&gt;&amp;\"'"]
    assert repr(one) == "<ColoredTokens>"


def test_token_views_check_their_lengths():
    with pytest.raises(ConfigError, match="1 for 2 tokens"):
        viz.colored_tokens(["a", "b"], [1])
    with pytest.raises(ConfigError, match="1 for 2 tokens"):
        viz.attention_patterns(["a", "b"], np.zeros((1, 1, 1)))
    view = viz.colored_tokens_multi(["a"], np.zeros((1, 2)), ["x", "y"])
    assert view.props["labels"] == ["x", "y"]


def test_loss_scatter_draws_classes_on_signed_roots() -> None:
    figure = viz.loss_scatter([-0.04, 0.0, 0.09], [-0.25, 0.01, -0.0001], title="T", hover=["a", "b", "c"])
    reconstruction, novel = figure.data
    assert (list(novel.text), list(reconstruction.text)) == (["a"], ["b", "c"])
    assert (float(novel.x[0]), float(novel.y[0])) == (pytest.approx(-0.2), pytest.approx(-0.5))
    assert list(reconstruction.y) == pytest.approx([0.1, -0.01])
    assert reconstruction.customdata[1].tolist() == pytest.approx([0.09, -0.0001])
    with pytest.raises(ConfigError, match="loss must have 3 entries, got 1"):
        viz.loss_scatter([1, 2, 3], [1], title="T")
    with pytest.raises(ConfigError, match="hover must have 1 entries, got 2"):
        viz.loss_scatter([1], [1], title="T", hover=["a", "b"])

"""The first page's figure on a meta-SAE whose parts are known, the claims table, and the glossary's words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from sae_lens.saes.standard_sae import StandardSAE, StandardSAEConfig

from canonlib.claims import Claim
from canonlib.errors import ConfigError
from canonlib.meta import MetaConfig, MetaName, MetaReport, MetaSAE
from canonlib.viz import claims_table, entity_graph, entity_parts, fact_holds, misfits

ROOT = Path(__file__).resolve().parents[1]
REPORT = MetaReport(0.5, 2.0, 0.0, 0.0, 0.0, 2.0, 4, (1.0,))
LATENTS = {"Einstein": 0, "Curie": 1, "Mozart": 2}
# Einstein is 0.8 and 0.6 of the first two parts, Curie the first alone, Mozart the second and third.
ROWS = torch.tensor([[0.8, 0.6, 0.0], [1.0, 0.0, 0.0], [0.0, 0.6, 0.8], [0.0, 0.0, 1.0]])


def planted() -> MetaSAE:
    """Three meta-latents, one for each coordinate."""
    sae = StandardSAE(StandardSAEConfig(d_in=3, d_sae=3, apply_b_dec_to_input=True))
    with torch.no_grad():
        for weights in (sae.W_enc, sae.W_dec):
            weights.copy_(torch.eye(3))
        sae.b_enc.zero_()
        sae.b_dec.zero_()
    return MetaSAE(sae, MetaConfig(n_latents=3, k=2), REPORT)


def name(number: int, fact: str, p_value: float = 0.001) -> MetaName:
    return MetaName(number, fact, 0.9, 0.8, 0.85, 2, 0.1, p_value, p_value)


def texts(names: list[MetaName], **more: int) -> list[str]:
    figure = entity_graph("Einstein", planted(), ROWS, names, LATENTS, title="t", **more)
    return [text for trace in figure.data if trace.text is not None for text in trace.text]


def test_the_parts_carry_their_weights_the_truth_and_who_shares_them() -> None:
    shown = texts([name(0, "occupation=physicist"), name(1, "country=Austria"), name(2, "field=music")])
    assert shown == ["Einstein", "occupation=physicist ✓ (0.80)", "country=Austria ✗ (0.60)", "Curie", "Mozart"]


def test_a_part_no_better_than_chance_has_no_name_and_equal_names_are_told_apart() -> None:
    assert "unnamed 0 (0.80)" in texts([name(0, "field=science", 0.3), name(1, "field=science"), name(2, "x=y")])
    same = texts([name(0, "field=science"), name(1, "field=science"), name(2, "x=y")])
    assert "field=science ✓ (0.80)" in same
    assert "field=science ✓ · 1 (0.60)" in same


def test_hovers_say_what_is_true_of_both() -> None:
    names = [name(0, "occupation=physicist"), name(1, "country=Austria"), name(2, "x=y")]
    figure = entity_graph("Einstein", planted(), ROWS, names, LATENTS, title="t")
    hover = "\n".join(text for trace in figure.data if trace.hovertext is not None for text in trace.hovertext)
    assert "best fact: country=Austria, not true of Einstein" in hover
    assert "occupation=physicist, true of Einstein" in hover
    assert re.search(r"<b>Curie</b>: physicist.*<br>true of Einstein too: .*occupation=physicist", hover)


def test_who_lacks_the_fact_of_a_shared_part_is_said() -> None:
    named = [name(0, "occupation=physicist"), name(1, "country=Germany"), name(2, "x=y")]
    parts = entity_parts("Einstein", planted(), ROWS, named, LATENTS)
    assert [(part.name.meta_latent, round(part.weight, 2), part.others) for part in parts] == [
        (0, 0.8, ["Curie"]),
        (1, 0.6, ["Mozart"]),
    ]
    # Curie is a physicist; Mozart was born in what is now Austria.
    assert fact_holds("occupation=physicist", "Curie")
    assert not fact_holds("country=Germany", "Mozart")
    assert not fact_holds(None, "Mozart")
    told = misfits(parts)
    assert told.startswith("Of the 2 shown on the right of a named part, 1 lack the fact")
    assert told.endswith(": *country=Germany does not hold of Mozart (90% of this part's users have it)*.")
    everyone = [part for part in parts if part.name.meta_latent == 0]
    assert (
        misfits(everyone)
        == "Of the 1 shown on the right of a named part, 0 lack the fact that it is named after: *none*."
    )
    unnamed = entity_parts("Einstein", planted(), ROWS, [name(i, "x=y", 0.3) for i in range(3)], LATENTS)
    assert misfits(unnamed).startswith("Of the 0 shown")


def test_bad_requests_are_named() -> None:
    names = [name(i, "x=y") for i in range(3)]
    with pytest.raises(ConfigError, match="'Einstien'.*Did you mean 'Einstein'"):
        entity_graph("Einstien", planted(), ROWS, names, LATENTS, title="t")
    with pytest.raises(ConfigError, match="n_others"):
        texts(names, n_others=0)


def test_the_claims_table_keeps_its_lines() -> None:
    claim = Claim("a", 1, "It holds.", "", "", "0.5", "0.4", "holds", "world")
    assert claims_table([claim])._repr_markdown_().splitlines()[2] == "| It holds. | — | 0.5 | ✓ holds |"


def test_the_claims_table_names_the_columns_in_every_cell() -> None:
    """A phone stacks the cells of a row: the column's name must stand in each, and the roles must stay."""
    claim = Claim("a", 1, "It <holds>.", "", "", "0.5", "0.4", "holds", "world")
    page = claims_table([claim])._repr_html_()
    assert re.findall(r'<td role="cell" data-label="(\w+)">(.*?)</td>', page) == [
        ("Claim", "It &lt;holds&gt;."), ("Paper", "—"), ("Ours", "0.5"), ("Verdict", "✓ holds")]  # fmt: skip
    assert page.count('role="columnheader"') == 4
    assert '<tr role="row" class="canon-claim-holds">' in page


@pytest.mark.parametrize("word", [
    "latent", "decoder direction", "dictionary size", "meta-latent", "L0", "MSE", "FVU", "CE loss recovered",
    "novel latent", "reconstruction latent", "silent latent", "insertion effect", "entity", "attribute", "value", "fact",
    "tier", "room", "artefact", "store", "harvest", "max cosine", "AUC", "meta-SAE", "F1", "dead latent", "control",
])  # fmt: skip
def test_the_glossary_has_every_word_of_the_code(word: str) -> None:
    text = (ROOT / "book" / "glossary.md").read_text(encoding="utf8")
    entries = "\n".join(re.findall(r"```\{glossary\}\n(.*?)```", text, flags=re.S)).splitlines()
    assert word in entries

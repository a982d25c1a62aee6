"""The explorer's data against brute force, its files against hostile text, and its errors."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from explorehelpers import HOSTILE, ragged, read, subject, texts
from saehelpers import random_sae

from canonlib.compare import nearest
from canonlib.errors import ConfigError
from canonlib.explore import about, data, near, records, site
from canonlib.explore import firings as rooms
from canonlib.explore.firings import contexts, firings, handed_on
from canonlib.explore.folders import PARTS
from canonlib.explore.subject import Smaller
from canonlib.meta import decompose, meta_activations, readings, users
from canonlib.stitch import classify, insertion_effects


@pytest.fixture(scope="module")
def whole():
    return subject()


@pytest.fixture(scope="module")
def told(whole):
    vocabulary = records.Vocabulary()
    found = records.measure(whole)
    latents = list(records.latent_records(whole, found, vocabulary))
    return latents, list(records.meta_records(whole, found, vocabulary)), vocabulary


def test_firings_are_the_active_entries(whole, monkeypatch):
    monkeypatch.setattr(rooms, "_ELEMENTS", 30 * 7)  # blocks of seven tokens
    x = whole.texts.split.activations
    dense = whole.sae.encode(x)
    found = firings(whole.sae, x)
    assert found.n_tokens == len(x) and len(found) == 30
    for j in range(30):
        rows, values = found.of(j)
        torch.testing.assert_close(rows, dense[:, j].nonzero()[:, 0])
        torch.testing.assert_close(values, dense[rows, j])


def test_firings_of_meta_latents_are_what_tokens_hand_to_them(whole, monkeypatch):
    monkeypatch.setattr(rooms, "_COLUMNS", 3)
    x = whole.texts.split.activations
    shares = meta_activations(whole.meta, whole.sae) * whole.sae.W_dec.norm(dim=1, keepdim=True)
    found = handed_on(firings(whole.sae, x), shares)
    dense = readings(whole.meta, whole.sae, x)
    for m in range(10):
        rows, values = found.of(m)
        torch.testing.assert_close(rows, (dense[:, m] > 0).nonzero()[:, 0])
        torch.testing.assert_close(values, dense[rows, m])


@pytest.mark.parametrize("read_from", [texts(), ragged()], ids=["full", "ragged"])
def test_contexts_are_the_strongest_tokens_each_of_another_document(whole, read_from):
    """And none goes on behind the end of its document, where token 0 is padding that no ragged document holds."""
    split, documents, lengths = read_from.split, read_from.documents, read_from.lengths
    dense = whole.sae.encode(split.activations).detach()
    all_found = contexts(firings(whole.sae, split.activations), split, documents, 1, lengths)
    for j, found in enumerate(all_found):
        grid = torch.zeros(documents.shape)
        grid[split.document, split.position] = dense[:, j]
        best = grid.max(1)
        order = best.values.argsort(descending=True)[: rooms.N_CONTEXTS]
        assert [c.document for c in found] == [d for d in order.tolist() if best.values[d] > 0]
        for c in found:
            first = max(1, int(best.indices[c.document]) - rooms.BEFORE)
            end = 16 if lengths is None else int(lengths[c.document])
            span = slice(first, min(int(best.indices[c.document]) + rooms.AFTER + 1, end))
            assert c.tokens == documents[c.document, span].tolist()
            assert lengths is None or 0 not in c.tokens
            assert c.activations == pytest.approx(grid[c.document, span].tolist())
            assert c.activations[c.peak] == pytest.approx(float(best.values[c.document]))


def test_records_of_ragged_documents_hold_no_padding():
    short = subject(texts=ragged())
    vocabulary = records.Vocabulary()
    told = list(records.latent_records(short, records.measure(short), vocabulary))
    told += list(records.meta_records(short, records.measure(short), vocabulary))
    assert sum(len(r["x"]) for r in told) > 100 and 0 not in vocabulary.numbers


@pytest.mark.parametrize(("lengths", "message"), [
    (torch.full((39,), 16), "for each of 40 documents"),
    (torch.full((40,), 17), "a number from 0 to 16"),
    (torch.full((40,), 15), "row 14 of the split stands behind the end"),
])  # fmt: skip
def test_lengths_that_do_not_suit_are_named(lengths, message):
    with pytest.raises(ConfigError, match=message):
        replace(texts(), lengths=lengths)


def test_texts_that_repeat_are_shown_once(whole):
    same = whole.texts.documents[:1].repeat(40, 1)
    activations = whole.texts.split.activations[:15].repeat(40, 1)
    split = type(whole.texts.split)(
        activations, *(getattr(whole.texts.split, n) for n in ("token", "document", "position", "entity"))
    )
    for found in contexts(firings(whole.sae, activations), split, same):
        assert len({tuple(c.tokens) for c in found}) == len(found)


def test_split_of_another_length_is_refused(whole):
    found = firings(whole.sae, whole.texts.split.activations[:-1])
    with pytest.raises(ConfigError, match="600 rows .* 599 tokens"):
        next(contexts(found, whole.texts.split, whole.texts.documents))


def test_parts_and_users_are_those_of_decompose(whole, told):
    latents, metas, _ = told
    for j, record in enumerate(latents):
        parts = decompose(whole.meta, j, whole.sae)
        assert [p[0] for p in record["p"]] == parts.meta_latents.tolist()
        assert [p[1] for p in record["p"]] == pytest.approx(parts.activations.tolist(), rel=5e-3)
        assert record["r"] == (pytest.approx(parts.residual_norm, rel=5e-3) if len(parts) else None)
    for m, record in enumerate(metas):
        found = users(whole.meta, whole.sae, m)
        assert [u[0] for u in record["u"]] == found.latents.tolist()
        assert [u[1] for u in record["u"]] == pytest.approx(found.activations.tolist(), rel=5e-3)


def test_users_that_never_fire_here_are_marked(whole):
    few = replace(whole.texts, split=whole.texts.split.take(torch.arange(4)))
    fewer = subject(texts=few)
    silent = ~(whole.sae.encode(few.split.activations) > 0).any(0)
    told = list(records.meta_records(fewer, records.measure(fewer), records.Vocabulary()))
    marked = {u[0] for r in told for u in r["u"] if len(u) == 3}
    assert 0 < len(marked) < 30 and marked == set(silent.nonzero()[:, 0].tolist()) & {
        u[0] for r in told for u in r["u"]
    }
    assert all(r["ns"] == sum(len(u) == 3 for u in r["u"]) for r in told)
    bare = subject(texts=None)
    assert all(
        len(u) == 2 for r in records.meta_records(bare, records.measure(bare), records.Vocabulary()) for u in r["u"]
    )


def test_classes_and_neighbours_are_those_of_the_library(whole, told):
    small = whole.smaller[-1].sae
    effects = insertion_effects(small, whole.sae, whole.texts.split.activations)
    classes = classify(effects)
    assert {r["k"][0] for r in told[0]} >= {"novel", "reconstruction"}
    near = nearest(whole.sae, small, k=3)
    for j, record in enumerate(told[0]):
        assert record["k"][0] == ("novel" if classes.novel[j] else "silent" if classes.silent[j] else "reconstruction")
        assert record["k"][1] == pytest.approx(float(effects.relative[j]), rel=5e-3)
        assert [n[0] for n in record["s"][1]] == near.index[j].tolist()
        assert [n[1] for n in record["s"][1]] == pytest.approx(near.cosine[j].tolist(), abs=1e-3)
        assert record["s"][1][0][2] == f"<i>{int(near.index[j, 0])}</i>"


def test_activity_is_share_and_maximum(whole, told):
    dense = whole.sae.encode(whole.texts.split.activations).detach()
    for j, record in enumerate(told[0]):
        assert record["d"] == pytest.approx(float((dense[:, j] > 0).float().mean()), rel=5e-3)
        assert record["m"] == pytest.approx(float(dense[:, j].max()), rel=5e-3)
        assert all(max(x[1]) == x[1][x[2]] for x in record["x"])


def test_latents_that_never_fired_in_training_have_no_parts(whole):
    alive = torch.ones(30, dtype=torch.bool)
    alive[4] = False
    half = subject(alive=alive)
    found = list(records.latent_records(half, records.measure(half), records.Vocabulary()))
    assert found[4]["p"] == [] and found[4]["r"] is None and found[5]["p"]
    assert [r.get("z") for r in found] == [None] * 4 + [records.NEVER_FIRED] + [None] * 25


def test_a_direction_of_length_zero_has_no_parts_for_another_reason():
    sae = random_sae("jumprelu", 30, 12, dtype="float32")
    with torch.no_grad():
        sae.W_dec[7] = 0
    empty = subject(sae=sae)
    found = list(records.latent_records(empty, records.measure(empty), records.Vocabulary()))
    assert found[7]["p"] == [] and found[7]["z"] == records.NO_DIRECTION and "z" not in found[6]


def test_marks_say_true_not_true_or_not_in_the_table(whole, told):
    """Names: currency=Euro (3), country=Germany (6), a hostile fact (9); true of odd latents: that and country=France."""
    states = {3: 2, 6: 0, 9: 1}
    for j, record in enumerate(told[0]):
        if j % 2:
            assert record["h"] == [states.get(m) for m, _ in record["p"]]
        else:
            assert "h" not in record
    assert {s for r in told[0] for s in r.get("h", [])} == {None, 0, 1, 2}


def test_evidence_has_the_f1_by_chance_and_the_owner_its_own(told):
    assert told[1][3]["f"] == [1, 0.6, 0.5, 0.75, 0.03, 1, 0.25] and told[1][3]["a"] == 0.6
    assert told[0][1]["ef"] == 0.75 and "ef" not in told[0][2]


def test_what_is_not_given_is_left_out():
    bare = subject(texts=None, smaller=(), names=(), meta_names=(), truth=None)
    found = records.measure(bare)
    assert set(next(records.latent_records(bare, found, records.Vocabulary()))) == {"n", "p", "r"}
    assert set(next(records.meta_records(bare, found, records.Vocabulary()))) == {"n", "u", "ns"}


@pytest.mark.parametrize(("changes", "reason"), [
    ({"smaller": [Smaller(random_sae("topk", 16, 12, dtype="float32"), "16")]}, "compete for places"),
    ({"texts": None}, "it takes texts to measure"),
    ({"smaller": ()}, ""),
])  # fmt: skip
def test_where_there_are_no_classes_the_reason_is_told(changes, reason):
    without = subject(**changes)
    found = records.measure(without)
    assert "k" not in next(records.latent_records(without, found, records.Vocabulary()))
    assert reason in found.unclassed and bool(reason) == bool(found.unclassed)


def test_files_hold_the_records_and_no_tag(whole, told, tmp_path):
    made = site.write_explorer(whole, tmp_path / "out", progress=False)
    folder = made.folder / "data"
    assert all(b"<" not in p.read_bytes() for p in folder.iterdir())
    assert read(folder / "latents-0.js") == told[0]
    assert read(folder / "metas-0.js") == told[1]
    manifest = read(folder / "manifest.js")
    assert (manifest["n_latents"], manifest["n_meta"], manifest["title"]) == (30, 10, "A test & <b>more</b>")
    assert (manifest["unit"], manifest["n_tokens"], manifest["book"]) == ("tokens", 600, "")
    tokens = read(folder / "tokens.js")
    assert tokens == [whole.texts.words[t] for t in told[2].numbers]
    assert set(HOSTILE) <= set(tokens)
    assert {p.name for p in made.folder.iterdir()} == {*PARTS, "vue.js", "data"}
    assert made.n_bytes == sum(p.stat().st_size for p in made.folder.rglob("*") if p.is_file())


def test_latents_are_found_by_facts_that_are_true_detected_or_the_names_of_parts(whole, told, tmp_path):
    data.write_data(whole, tmp_path, progress=False)
    index = read(tmp_path / "index.js")
    assert index["names"] == list(whole.names) and index["scores"][:3] == [None, 0.51, 0.52]
    assert index["facts"] == [[1, 2] if j % 2 else [] for j in range(30)]
    assert index["detects"] == [[j % 2] for j in range(30)]
    assert index["parts"] == [[m for m, _ in r["p"]] for r in told[0]]
    assert [[index["words"][w] for w in row] for row in index["raises"]] == [r.get("w", []) for r in told[0]]


def test_meta_latents_are_listed_with_their_users_by_name(whole, told, tmp_path):
    data.write_data(whole, tmp_path, progress=False)
    for listed, record in zip(read(tmp_path / "metas.js"), told[1], strict=True):
        named = [whole.names[u[0]] for u in record["u"] if whole.names[u[0]]]
        assert listed["u"] == list(dict.fromkeys(named))[:3] and listed["nu"] == len(record["u"])
        assert listed.get("a") == record.get("a") and listed["n"] == record["n"]


def test_dead_latents_are_listed_for_the_keys(tmp_path):
    alive = torch.ones(30, dtype=torch.bool)
    alive[[4, 9]] = False
    data.write_data(subject(alive=alive), tmp_path / "some", progress=False)
    assert read(tmp_path / "some" / "dead.js") == [4, 9]
    assert read(tmp_path / "some" / "manifest.js")["n_alive"] == 28
    pointing_nowhere = subject(alive=alive)
    with torch.no_grad():
        pointing_nowhere.sae.W_dec[[4, 9]] = 0
    data.write_data(pointing_nowhere, tmp_path / "zero", progress=False)
    assert read(tmp_path / "zero" / "dead.js") == [4, 9], "the page asks for the list, whatever else they lack"
    data.write_data(subject(), tmp_path / "unknown", progress=False)
    assert not (tmp_path / "unknown" / "dead.js").exists()
    assert read(tmp_path / "unknown" / "manifest.js")["n_alive"] is None


def test_a_direction_of_length_zero_in_a_smaller_sae_is_near_nothing(whole):
    small = random_sae("jumprelu", 8, 12, seed=8, dtype="float32")
    with torch.no_grad():
        small.W_dec[[0, 5]] = 0
    rows = whole.sae.W_dec.detach().float()
    (found,) = near.near(subject(smaller=[Smaller(small, "8 latents")]), rows)
    cosines = torch.nn.functional.cosine_similarity(rows[:, None], small.W_dec[None], dim=-1)
    cosines[:, [0, 5]] = -2
    assert [[i for i, _, _ in row] for row in found] == cosines.topk(3).indices.tolist()
    with torch.no_grad():
        small.W_dec[:] = 0
    assert near.near(subject(smaller=[Smaller(small, "8 latents")]), rows) == [[[]] * 30]


def test_the_fingerprint_tells_these_saes_from_others(whole):
    mine = about.fingerprint(whole)
    assert mine == about.fingerprint(subject(names=(), texts=None, smaller=())) and len(mine) == about.DIGITS
    other = subject()
    with torch.no_grad():
        other.sae.b_enc[3] += 1e-6
    assert about.fingerprint(other) != mine
    other = subject()
    with torch.no_grad():
        other.meta.sae.W_dec[0, 0] += 1e-6
    assert about.fingerprint(other) != mine


def test_the_start_page_says_what_it_was_made_from(whole):
    alive = torch.arange(30) > 4
    sae = random_sae("jumprelu", 30, 12, dtype="float32", metadata={
        "model_name": "a-model", "hook_name": "a-hook", "training_architecture": "batchtopk"})  # fmt: skip
    some = subject(sae=sae, alive=alive)
    told = dict(about.provenance(some, records.measure(some)))
    assert told["SAE"] == "BatchTopK (kept as JumpReLU), 30 latents in 12 dimensions"
    assert told["read from"] == "a-model at a-hook"
    assert told["never fired in training"] == "5 of 30 latents"
    assert told["measured on"] == "600 tokens in 40 pieces of text"
    assert told["compared with"] == "smaller SAEs of 8, 16 latents"
    parts = sum(len(decompose(some.meta, j, some.sae)) for j in range(5, 30)) / 25
    assert told["parts of a latent"] == f"{parts:.1f} on average"
    share = 100 * some.meta.report.variance_explained
    assert f"explains {share:.0f}% of the variance" in told["meta-SAE"] and "k = 2" in told["meta-SAE"]
    bare = subject(texts=None, smaller=())
    assert {"measured on", "silent there", "compared with", "read from"}.isdisjoint(
        dict(about.provenance(bare, records.measure(bare)))
    )
    silent = ~(some.sae.encode(some.texts.split.activations) > 0).any(0)
    assert told["silent there"] == f"{int(silent.sum())} of 30 latents"


def test_examples_are_plain_words_and_never_hostile(whole, told):
    start = [told[0][j] for j in (4, 13, 21)]
    tokens = [whole.texts.words[t] for t in told[2].numbers]
    found = about.examples(start, whole, tokens)
    assert found[0] == "שלום" or not set(found) & set(HOSTILE)
    assert "country=France" in found and not any("<" in example or " " in example for example in found)
    assert about.examples([], subject(truth=None, names=()), []) == []


def test_records_are_spread_over_files(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "CHUNK", 7)
    data.write_data(whole, tmp_path, progress=False)
    assert [len(read(tmp_path / f"latents-{i}.js")) for i in range(5)] == [7, 7, 7, 7, 2]
    assert read(tmp_path / "manifest.js")["chunk"] == 7


def test_the_same_subject_gives_the_same_bytes(whole, tmp_path):
    for name in ("a", "b"):
        data.write_data(whole, tmp_path / name, progress=False)
    assert all((tmp_path / "b" / p.name).read_bytes() == p.read_bytes() for p in (tmp_path / "a").iterdir())


@pytest.mark.parametrize(("changes", "message"), [
    ({"names": ["one"]}, "names holds 1 entries for 30"),
    ({"meta_names": ["one"]}, "meta_names holds 1 entries for 10"),
    ({"texts": texts(d=5)}, "the activations has d_model 5 and the SAE 12"),
    ({"smaller": [Smaller(random_sae("jumprelu", 4, 5), "4")]}, "smaller SAE 4 has d_model 5"),
])  # fmt: skip
def test_parts_that_do_not_belong_together_are_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        subject(**changes)

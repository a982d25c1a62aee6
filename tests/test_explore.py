"""The explorer's data against brute force, its files against hostile text, and its errors."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from explorehelpers import HOSTILE, subject, texts
from saehelpers import random_sae
from typer.testing import CliRunner

from canonlib.cli import app
from canonlib.compare import nearest
from canonlib.errors import ConfigError
from canonlib.explore import firings as rooms
from canonlib.explore import own, records, site
from canonlib.explore.firings import contexts, firings, handed_on
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


def read(path):
    text = path.read_text(encoding="ascii")
    assert text.startswith(f'canonData("{path.stem}",') and text.endswith(");\n")
    return json.loads(text[len(f'canonData("{path.stem}",') : -3])


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


def test_firings_of_meta_latents_are_what_tokens_hand_to_them(whole):
    x = whole.texts.split.activations
    shares = meta_activations(whole.meta, whole.sae) * whole.sae.W_dec.norm(dim=1, keepdim=True)
    found = handed_on(firings(whole.sae, x), shares)
    dense = readings(whole.meta, whole.sae, x)
    for m in range(10):
        rows, values = found.of(m)
        torch.testing.assert_close(rows, (dense[:, m] > 0).nonzero()[:, 0])
        torch.testing.assert_close(values, dense[rows, m])


def test_contexts_are_the_strongest_tokens_each_of_another_document(whole):
    split, documents = whole.texts.split, whole.texts.documents
    dense = whole.sae.encode(split.activations).detach()
    for j, found in enumerate(contexts(firings(whole.sae, split.activations), split, documents)):
        grid = torch.zeros(documents.shape)
        grid[split.document, split.position] = dense[:, j]
        best = grid.max(1)
        order = best.values.argsort(descending=True)[: rooms.N_CONTEXTS]
        assert [c.document for c in found] == [d for d in order.tolist() if best.values[d] > 0]
        for c in found:
            first = max(1, int(best.indices[c.document]) - rooms.BEFORE)
            span = slice(first, int(best.indices[c.document]) + rooms.AFTER + 1)
            assert c.tokens == documents[c.document, span].tolist()
            assert c.activations == pytest.approx(grid[c.document, span].tolist())
            assert c.activations[c.peak] == pytest.approx(float(best.values[c.document]))


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
        assert record["nu"] == len(found.latents)


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


def test_what_is_not_given_is_left_out():
    bare = subject(texts=None, smaller=(), names=(), meta_names=(), truth=None)
    found = records.measure(bare)
    assert set(next(records.latent_records(bare, found, records.Vocabulary()))) == {"n", "p", "r"}
    assert set(next(records.meta_records(bare, found, records.Vocabulary()))) == {"n", "u", "nu"}


def test_an_sae_that_cannot_be_stitched_has_no_classes(whole):
    competing = subject(smaller=[Smaller(random_sae("topk", 16, 12, dtype="float32"), "16")])
    assert "k" not in next(records.latent_records(competing, records.measure(competing), records.Vocabulary()))


def test_files_hold_the_records_and_no_tag(whole, told, tmp_path):
    made = site.write_explorer(whole, tmp_path / "out", progress=False)
    data = made.folder / "data"
    assert all(b"<" not in p.read_bytes() for p in data.iterdir())
    assert read(data / "latents-0.js") == told[0]
    assert read(data / "metas-0.js") == told[1]
    manifest = read(data / "manifest.js")
    assert (manifest["n_latents"], manifest["n_meta"], manifest["title"]) == (30, 10, "A test & <b>more</b>")
    tokens = read(data / "tokens.js")
    assert tokens == [whole.texts.words[t] for t in told[2].numbers]
    assert set(HOSTILE) <= set(tokens)
    index = read(data / "index.js")
    assert index["names"] == list(whole.names)
    assert [f[0] for f in told[0][3]["f"]] == index["facts"][3]
    assert {p.name for p in made.folder.iterdir()} == {*site.PARTS, "vue.js", "data"}
    assert made.n_bytes == sum(p.stat().st_size for p in made.folder.rglob("*") if p.is_file())


def test_records_are_spread_over_files(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(site, "CHUNK", 7)
    site.write_data(whole, tmp_path, progress=False)
    assert [len(read(tmp_path / f"latents-{i}.js")) for i in range(5)] == [7, 7, 7, 7, 2]
    assert read(tmp_path / "manifest.js")["chunk"] == 7


def test_the_same_subject_gives_the_same_bytes(whole, tmp_path):
    for name in ("a", "b"):
        site.write_data(whole, tmp_path / name, progress=False)
    assert all((tmp_path / "b" / p.name).read_bytes() == p.read_bytes() for p in (tmp_path / "a").iterdir())


@pytest.mark.parametrize(("changes", "message"), [
    ({"names": ["one"]}, "names holds 1 names for 30"),
    ({"meta_names": ["one"]}, "meta_names holds 1 names for 10"),
    ({"texts": texts(d=5)}, "the activations has d_model 5 and the SAE 12"),
    ({"smaller": [Smaller(random_sae("jumprelu", 4, 5), "4")]}, "smaller SAE 4 has d_model 5"),
])  # fmt: skip
def test_parts_that_do_not_belong_together_are_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        subject(**changes)


@pytest.fixture
def folders(tmp_path):
    from canonlib.meta import MetaConfig, train_meta_sae

    named = {"model_name": "embedded", "hook_name": "blocks.2.hook_resid_pre"}
    sae = random_sae("jumprelu", 40, 128, dtype="float32", metadata=named)
    sae.save_model(tmp_path / "sae")
    random_sae("jumprelu", 10, 128, seed=3, dtype="float32", metadata=named).save_model(tmp_path / "small")
    train_meta_sae(sae, MetaConfig(n_latents=8, k=2.0, steps=30, seed=0), progress=False).save(tmp_path / "meta")
    (tmp_path / "texts.txt").write_text("Einstein was a physicist .\n\nTokyo lies in Japan . the sea\n")
    return tmp_path


def explore(*arguments):
    import typer.main  # noqa: F401

    return CliRunner().invoke(app, ["explore", *(str(a) for a in arguments)])


def test_own_folders_become_an_explorer(folders):
    (folders / "names.json").write_text(json.dumps({"3": "three"}))
    (folders / "explained.json").write_text(json.dumps([{"meta_latent": 2, "explanation": "two"}]))
    done = explore(folders / "out", "--sae", folders / "sae", "--meta", folders / "meta", "--smaller", folders / "small",
                   "--texts", folders / "texts.txt", "--names", folders / "names.json",
                   "--meta-names", folders / "explained.json")  # fmt: skip
    assert done.exit_code == 0, done.output + str(done.exception)
    assert "40 latents, 8 meta-latents" in done.output
    data = folders / "out" / "data"
    manifest, latents = read(data / "manifest.js"), read(data / "latents-0.js")
    assert manifest["spaced"] and manifest["n_tokens"] == 12
    assert latents[3]["n"] == "three" and read(data / "metas-0.js")[2]["n"] == "two"
    assert all("k" in r and "w" in r for r in latents)
    assert {"Einstein", "Tokyo"} & set(read(data / "tokens.js"))


def test_texts_are_read_as_the_model_reads_them(folders):
    from canonlib.activations import residual_stream
    from canonlib.world import corpus, model

    lm = model.load()
    found = own.read_texts(lm, folders / "texts.txt", model.HOOK, context=5, progress=False)
    ids = corpus.token_ids()
    pieces = ["Einstein was a physicist", ".", "Tokyo lies in Japan", ". the sea"]
    assert [found.words[t] for t in found.split.token.tolist()] == " ".join(pieces).split()
    for i, piece in enumerate(pieces):
        tokens = torch.tensor([[0, *(ids[w] for w in piece.split())]])
        expected = residual_stream(lm, tokens, model.HOOK)[0, 1:]
        torch.testing.assert_close(found.split.activations[found.split.document == i], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("content", "suffix", "message"), [
    ("\n \n", ".txt", "holds no text"),
    ('{"text": "a"}\n{"words": 1}', ".jsonl", "line 2: each line must be an object"),
    (None, ".txt", "cannot be read"),
])  # fmt: skip
def test_texts_that_cannot_be_read_are_named(tmp_path, content, suffix, message):
    path = tmp_path / f"texts{suffix}"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=message):
        own._documents(path)


@pytest.mark.parametrize(("content", "message"), [
    ("[", "cannot be read as JSON"),
    ("3", "must hold an object"),
    ('{"40": "x"}', "numbers go from 0 to 39"),
    ('{"a": "x"}', "names 'a'"),
])  # fmt: skip
def test_names_that_cannot_be_used_are_named(tmp_path, content, message):
    (tmp_path / "n.json").write_text(content)
    with pytest.raises(ConfigError, match=message):
        own._names(tmp_path / "n.json", 40, "--names")


@pytest.mark.parametrize(("arguments", "message"), [
    (["--sae", "sae"], "--sae and --meta belong together"),
    (["--texts", "texts.txt"], "--texts describes an SAE of your own"),
    (["--sae", "meta", "--meta", "nowhere"], "meta.json"),
    (["--sae", "nowhere", "--meta", "meta"], "cfg.json missing"),
    (["--sae", "small", "--meta", "meta", "--smaller", "sae"], "give smaller ones"),
    (["--sae", "sae", "--meta", "meta", "--texts", "texts.txt", "--hook", "blocks.9"], "hook"),
    (["--sae", "sae", "--meta", "meta", "--texts", "texts.txt", "--model", "nowhere/at-all"], "--model"),
])  # fmt: skip
def test_options_that_do_not_go_together_are_named(folders, monkeypatch, arguments, message):
    monkeypatch.chdir(folders)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # or it tries again for half a minute
    done = explore("out", *arguments)
    assert done.exit_code == 2
    assert message in done.output + done.stderr
    assert not (folders / "out").exists()


def test_help_teaches():
    done = subprocess.run([sys.executable, "-m", "canonlib.cli", "explore", "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "needs neither server nor network" in done.stdout

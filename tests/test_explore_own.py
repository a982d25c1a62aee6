"""``canonlib explore`` for SAEs of one's own: folders, texts and names that become an explorer, and those that cannot."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from explorehelpers import read
from saehelpers import random_sae
from typer.testing import CliRunner

from canonlib.cli import app
from canonlib.errors import ConfigError
from canonlib.explore import names, opening, own, reading

METADATA = {"model_name": "canonlib-world", "hook_name": "blocks.2.hook_resid_pre"}


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Folders of an SAE of 40 latents, a smaller one, one of another width, and a meta-SAE on the first."""
    from canonlib.meta import MetaConfig, train_meta_sae

    place = tmp_path_factory.mktemp("own")
    sae = random_sae("jumprelu", 40, 128, dtype="float32", metadata=METADATA)
    sae.save_model(place / "sae")
    random_sae("jumprelu", 10, 128, seed=3, dtype="float32", metadata=METADATA).save_model(place / "small")
    random_sae("jumprelu", 40, 128, seed=5, dtype="float32", metadata=METADATA).save_model(place / "stranger")
    narrow = random_sae("jumprelu", 30, 12, dtype="float32")
    narrow.save_model(place / "narrow")
    config = MetaConfig(n_latents=8, k=2.0, steps=30, seed=0)
    train_meta_sae(sae, config, progress=False).save(place / "meta")
    train_meta_sae(narrow, config, progress=False).save(place / "narrow-meta")
    (place / "texts.txt").write_text("Einstein was a physicist .\n\nTokyo lies in Japan . the sea\n")
    return place


@pytest.fixture
def folders(shared, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for part in shared.iterdir():
        (tmp_path / part.name).symlink_to(part)
    return tmp_path


def explore(*arguments):
    return CliRunner().invoke(app, ["explore", *(str(a) for a in arguments)])


BOTH = ("--sae", "sae", "--meta", "meta")


def test_own_folders_become_an_explorer(folders):
    (folders / "names.json").write_text(json.dumps({"3": "three"}))
    rows = [
        {"meta_latent": 2, "explanation": "two", "accuracy": 0.8},
        {"meta_latent": 5, "explanation": "", "accuracy": None},
    ]
    (folders / "explained.json").write_text(json.dumps(rows))
    done = explore("out", *BOTH, "--smaller", "small", "--texts", "texts.txt", "--names", "names.json",
                   "--meta-names", "explained.json")  # fmt: skip
    assert done.exit_code == 0, done.output + str(done.exception)
    assert "40 latents, 8 meta-latents" in done.output
    data = folders / "out" / "data"
    manifest, latents, metas = (read(data / f"{n}.js") for n in ("manifest", "latents-0", "metas-0"))
    assert manifest["spaced"] and manifest["n_tokens"] == 12 and manifest["score"] == "accuracy"
    assert latents[3]["n"] == "three" and metas[2]["n"] == "two" and metas[2]["a"] == 0.8
    assert [m["n"] for m in metas if m["n"]] == ["two"]
    assert all("k" in r and "w" in r for r in latents)
    assert {"Einstein", "Tokyo"} & set(read(data / "tokens.js"))


def test_texts_are_read_as_the_model_reads_them():
    from canonlib.activations import residual_stream
    from canonlib.world import corpus, model

    lm = model.load()
    documents = ["Einstein was a physicist .", "Tokyo lies in Japan . the sea"]
    found = reading.read_texts(
        lm, documents, model.HOOK, opening.recipe_for(random_sae("jumprelu", 4, 12), lm, 5), progress=False
    )
    ids = corpus.token_ids()
    pieces = ["Einstein was a physicist", ".", "Tokyo lies in Japan", ". the sea"]
    assert [found.words[t] for t in found.split.token.tolist()] == " ".join(pieces).split()
    assert found.lengths.tolist() == [5, 2, 5, 4]
    for i, piece in enumerate(pieces):
        tokens = torch.tensor([[0, *(ids[w] for w in piece.split())]])
        expected = residual_stream(lm, tokens, model.HOOK)[0, 1:]
        torch.testing.assert_close(found.split.activations[found.split.document == i], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["embedded", "canonlib-world"])
def test_the_worlds_model_is_known_by_the_name_in_the_metadata_of_its_saes(name):
    assert opening.open_model(name).cfg.n_ctx == 64


def test_the_context_is_the_saes_the_models_or_what_is_asked_for():
    lm = opening.open_model("embedded")
    bare = random_sae("jumprelu", 4, 12)
    assert opening.context_for(bare, lm) == 64  # of CONTEXT, as much as the model reads
    assert opening.context_for(random_sae("jumprelu", 4, 12, metadata={"context_size": 32}), lm) == 32
    assert opening.context_for(random_sae("jumprelu", 4, 12, metadata={"context_size": 4096}), lm) == 64
    assert opening.context_for(bare, lm, 20) == 20
    with pytest.raises(ConfigError, match="--context 65 is more than the model's 64 tokens"):
        opening.context_for(bare, lm, 65)


@pytest.mark.parametrize(("content", "suffix", "message"), [
    ("\n \n", ".txt", "holds no text"),
    ('\n{"text": "a"}\n\n{"words": 1}', ".jsonl", "line 4: each line must be an object"),
    ('{"text": "a"}\n["text"]', ".jsonl", "line 2: each line must be an object"),
    (None, ".txt", "cannot be read"),
])  # fmt: skip
def test_texts_that_cannot_be_read_are_named(tmp_path, content, suffix, message):
    path = tmp_path / f"texts{suffix}"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=f"--texts .*{message}"):
        reading.read_documents(path)


def test_a_document_may_hold_what_other_programs_take_for_the_end_of_a_line(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "one\u2028two"}\r\n{"text": "three"}\n', encoding="utf-8")
    assert reading.read_documents(tmp_path / "a.jsonl") == ["one\u2028two", "three"]


def test_marks_of_other_programs_are_no_part_of_a_text_or_a_name(tmp_path):
    (tmp_path / "a.jsonl").write_text('\ufeff{"text": "half a pair: \\ud83d"}\n', encoding="utf-8")
    assert reading.read_documents(tmp_path / "a.jsonl") == ["half a pair: ?"]
    (tmp_path / "n.json").write_text('\ufeff{"3": "three"}', encoding="utf-8")
    assert names.latent_names(tmp_path / "n.json", 4)[3] == "three"


class Pieces:
    """A tokenizer that tells a token alone without its space or with the mark that it goes on a word, as some do."""

    texts = ("a", " the", " cap", "ital", " of")

    def __init__(self, alone):
        self.alone = alone

    def __len__(self):
        return len(self.texts)

    def __call__(self, text, add_special_tokens):
        return {"input_ids": [self.texts.index(text)]}

    def decode(self, ids):
        return self.alone(self.texts[ids[0]]) if len(ids) == 1 else "".join(self.texts[i] for i in ids).lstrip()


@pytest.mark.parametrize("alone", [str.lstrip, lambda t: t.lstrip() if t[0] in " a" else f"##{t}"])
def test_tokens_have_their_spaces_and_words_no_marks(alone):
    found, spaced = reading._words(Pieces(alone), [[0, 1, 2, 3, 4]])
    assert "".join(found[i] for i in (1, 2, 3, 4)) == " the capital of" and not spaced


@pytest.mark.parametrize(("content", "message"), [
    ("[", "cannot be read as JSON"),
    ("[" * 200_000, "cannot be read as JSON"),
    ("3", "must hold an object"),
    ('{"3": 4}', "must hold an object"),
    ('{"40": "x"}', "numbers go from 0 to 39"),
    ('{"a": "x"}', "names 'a'"),
    ('{"²": "x"}', "names '²'"),
    ('{"٣": "x"}', "names '٣'"),
    ('{"' + "9" * 5000 + '": "x"}', "numbers go from 0 to 39"),
    ('[{"meta_latent": 2, "explanation": "two"}]', "give it to --meta-names"),
    ('["a", "b"]', "holds a list"),
])  # fmt: skip
def test_names_that_cannot_be_used_are_named(tmp_path, content, message):
    (tmp_path / "n.json").write_text(content)
    with pytest.raises(ConfigError, match=f"--names .*{message}"):
        names.latent_names(tmp_path / "n.json", 40)


@pytest.mark.parametrize(("content", "message"), [
    ('[{"explanation": "x"}]', 'entry 0 has no "meta_latent"'),
    ('[{"meta_latent": 1, "explanation": "x"}, 3]', "entry 1"),
    ('[{"meta_latent": "1", "explanation": "x"}]', "entry 0"),
    ('[{"meta_latent": 8, "explanation": "x"}]', "names '8', and numbers go from 0 to 7"),
    ('["a", "b"]', "entry 0"),
])  # fmt: skip
def test_names_of_meta_latents_that_cannot_be_used_are_named(tmp_path, content, message):
    (tmp_path / "n.json").write_text(content)
    with pytest.raises(ConfigError, match=f"--meta-names .*{message}"):
        names.meta_names(tmp_path / "n.json", 8)


@pytest.mark.parametrize(("arguments", "message"), [
    (["--sae", "sae"], "--sae and --meta belong together"),
    (["--texts", "texts.txt"], "--texts describes an SAE of your own"),
    (["--context", "8"], "--context describes an SAE of your own"),
    (["--sae", "sae", "--meta", "sae"], "--meta sae holds no meta-SAE (meta.json missing)"),
    (["--sae", "sae", "--meta", "nowhere"], "--meta nowhere holds no meta-SAE"),
    (["--sae", "nowhere", "--meta", "meta"], "--sae nowhere holds no SAE (cfg.json and sae_weights.safetensors missing)"),
    (["--sae", "narrow", "--meta", "meta"], "--meta has d_model 128 and --sae 12"),
    (["--sae", "small", "--meta", "meta", "--smaller", "sae"], "--smaller sae has 40 latents, and --sae 10"),
    ([*BOTH, "--texts", "texts.txt", "--hook", "blocks.9"], "unknown --hook 'blocks.9'"),
    (["--sae", "narrow", "--meta", "narrow-meta", "--texts", "texts.txt", "--model", "embedded", "--hook",
      METADATA["hook_name"]], "the model has d_model 128 at blocks.2.hook_resid_pre and --sae 12"),
    ([*BOTH, "--texts", "texts.txt", "--model", "nowhere/at-all"], "--model"),
    ([*BOTH, "--texts", "texts.txt", "--context", "65"], "--context 65 is more than the model's 64"),
    ([*BOTH, "--texts", "nope.txt", "--model", "nowhere/at-all"], "--texts nope.txt cannot be read"),
    ([*BOTH, "--model", "embedded"], "--model says how texts are read: give --texts too"),
    ([*BOTH, "--hook", "blocks.1"], "--hook says how texts are read"),
    ([*BOTH, "--context", "8"], "--context says how texts are read"),
    ([*BOTH, "--tier", "world"], "--tier world is for canonlib's own SAEs"),
    ([*BOTH, "--data-only", "--open"], "--open opens a page"),
    (["--tier", "nonsense"], "unknown tier 'nonsense'"),
])  # fmt: skip
def test_options_that_do_not_go_together_are_named(folders, monkeypatch, arguments, message):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # or it tries again for half a minute
    done = explore("out", *arguments)
    assert done.exit_code == 2, done.output
    assert message in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert not (folders / "out").exists()


@pytest.mark.parametrize(("out", "message"), [
    ("texts.txt", "is a file"), ("texts.txt/sub", "is a file"), (".", "is the folder you are in"),
    ("sae", "holds no explorer"),
])  # fmt: skip
def test_a_folder_that_cannot_be_written_is_named_before_anything_is_opened(folders, monkeypatch, out, message):
    monkeypatch.setattr(own, "own_subject", lambda *_, **__: pytest.fail("it worked first and complained then"))
    done = explore(out, *BOTH)
    assert done.exit_code == 2 and message in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_names_too_long_and_saes_without_metadata_are_told_in_one_line(folders):
    bare = folders / "bare"
    bare.mkdir()
    for part in (folders / "sae").iterdir():
        (bare / part.name).write_bytes(part.read_bytes())
    config = json.loads((bare / "cfg.json").read_text())
    (bare / "cfg.json").write_text(json.dumps(config | {"metadata": None}))
    for arguments, message in (
        (("x" * 300, *BOTH), "cannot be"),
        (("out", "--sae", "bare", "--meta", "meta"), "--sae bare"),
    ):
        done = explore(*arguments)
        assert done.exit_code == 2 and message in done.stderr, done.output
        assert len(done.stderr.strip().splitlines()) == 1


def test_a_disk_that_refuses_is_told_in_one_line(folders, monkeypatch):
    from canonlib.explore import site

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(site, "write_data", full)
    done = explore("out", *BOTH)
    assert done.exit_code == 2 and "error: out cannot be written ([Errno 28] No space left on device)" in done.stderr


def test_an_empty_store_says_first_what_will_be_trained(tmp_path, monkeypatch):
    from canonlib.cli import explore as command
    from canonlib.explore import world
    from canonlib.pipeline import Run
    from canonlib.store import Store

    monkeypatch.setenv("CANONLIB_STORE", str(tmp_path / "store"))
    monkeypatch.setattr(world, "world_subject", lambda run: None)
    said = []
    monkeypatch.setattr(command, "note", said.append)
    command._of_tier("world")
    (line,) = said
    assert f"the store at {tmp_path / 'store'} lacks" in line and "SAEs, and the meta-SAE: training them first" in line
    assert not (tmp_path / "store").exists()
    from canonlib import tiers

    run = Run(tiers.get("world"), Store(tmp_path / "store"))
    assert world.to_train(run).split()[0] == world.to_train(run).split()[3]  # all of them


def test_help_teaches():
    done = subprocess.run([sys.executable, "-m", "canonlib.cli", "explore", "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "needs neither server nor network" in done.stdout

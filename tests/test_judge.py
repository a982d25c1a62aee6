"""Automated interpretability against a server on loopback that answers from a script."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from judgeserver import Script, serving

from canonlib.cli import app
from canonlib.errors import ConfigError
from canonlib.judge import (
    Case,
    Endpoint,
    Judge,
    JudgeError,
    MalformedReplyError,
    Prices,
    build_cases,
    estimate,
    interpret,
)
from canonlib.judge.cost import tokens
from canonlib.judge.interpreting import detect_prompt, explain_prompt

KEY = "sk-secret-of-the-tests"
COLOURS = ("red", "blue", "green")


def texts(colour: str, i: int) -> list[str]:
    return [f"a {colour} thing <b>number{i}</b>"]


def planted(n_each: int = 12) -> tuple[torch.Tensor, list[list[str]]]:
    """Meta-latent m is used by the latents whose text holds the m-th colour."""
    activations = torch.zeros(3 * n_each, 3)
    contexts = []
    for j in range(3 * n_each):
        activations[j, j % 3] = 1.0 + j / 100
        contexts.append(texts(COLOURS[j % 3], j))
    return activations, contexts


def honest(prompt: str) -> str:
    """Explains by the one colour all latents share, and matches by the colour in the explanation."""
    described = re.search(r"described as: (.*)", prompt)
    blocks = re.split(r"Latent \d+:", prompt)[1:]
    if described is None:
        colour = next(c for c in COLOURS if all(c in block for block in blocks))
        return json.dumps({"explanation": f"things that are {colour}"})
    found = [i for i, block in enumerate(blocks, 1) if described.group(1).split()[-1] in block]
    return "Here they are:\n```json\n" + json.dumps({"matches": found}) + "\n```"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANON_TEST_KEY", KEY)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def judge(script: Script, cache: Path, **more: float) -> Judge:
    fields = {"timeout": 5.0, "retries": 3, **more}
    return Judge(Endpoint(script.base_url, "scripted", key_env="CANON_TEST_KEY", **fields), cache)  # type: ignore[arg-type]


def read_number(reply: str) -> int:
    return int(reply)


def test_cases_hold_out_users_and_as_many_others() -> None:
    activations, contexts = planted()
    cases = build_cases(activations, contexts, n_shown=4, n_each=3)
    assert [c.meta_latent for c in cases] == [0, 1, 2]
    for case in cases:
        colour = COLOURS[case.meta_latent]
        assert len(case.shown) == 4 and all(colour in t for latent in case.shown for t in latent)
        assert [any(colour in t for t in latent) for latent in case.held_out] == list(case.uses)
        assert sum(case.uses) == 3 and len(case.uses) == 6
        assert not set(case.shown) & set(case.held_out)
        strengths = [int(re.findall(r"number(\d+)", latent[0])[0]) for latent in case.shown]
        assert strengths == sorted(strengths, reverse=True)
    assert cases == build_cases(activations, contexts, n_shown=4, n_each=3)
    assert cases != build_cases(activations, contexts, n_shown=4, n_each=3, seed=1)


def test_a_meta_latent_with_few_users_or_silent_latents_is_no_case() -> None:
    activations, contexts = planted(7)
    assert len(build_cases(activations, contexts)) == 3  # five held out, two shown
    silent = [texts if j % 3 else [] for j, texts in enumerate(contexts)]
    assert [c.meta_latent for c in build_cases(activations, silent)] == [1, 2]
    with pytest.raises(ConfigError, match="contexts holds 20 latents"):
        build_cases(activations, contexts[:20])


def test_latents_of_one_thing_are_not_on_both_sides() -> None:
    activations, contexts = planted(24)
    groups = [j // 6 for j in range(72)]  # each thing has two latents of each colour
    for case in build_cases(activations, contexts, n_shown=4, n_each=3, groups=groups):
        numbers = [int(re.findall(r"number(\d+)", latent[0])[0]) for latent in (*case.shown, *case.held_out)]
        assert len({groups[n] for n in numbers if COLOURS[n % 3] == COLOURS[case.meta_latent]}) == 7
    twins = [contexts[j - j % 2 * 3] for j in range(72)]  # the same texts, several times over
    for case in build_cases(activations, twins, n_shown=4, n_each=3):
        assert not set(case.shown) & set(case.held_out)
        assert len(set(case.held_out)) == 6
    with pytest.raises(ConfigError, match="groups holds 3 latents"):
        build_cases(activations, contexts, groups=[1, 2, 3])


def test_an_honest_judge_explains_and_detects_and_the_control_does_not(tmp_path: Path) -> None:
    cases = build_cases(*planted())
    with serving(Script(honest)) as script:
        found = interpret(cases, judge(script, tmp_path), progress=False)
    assert [row.explanation for row in found] == [f"things that are {colour}" for colour in COLOURS]
    assert [row.accuracy for row in found] == [1.0, 1.0, 1.0]
    assert all(row.shuffled is not None and row.shuffled <= 0.5 for row in found)
    assert len(script.requests) == 9
    assert script.keys[0] == f"Bearer {KEY}"


def test_replies_are_kept_and_asked_for_once(tmp_path: Path) -> None:
    cases = build_cases(*planted())
    with serving(Script(honest)) as script:
        first = interpret(cases, judge(script, tmp_path), progress=False)
        again = judge(script, tmp_path)
        assert interpret(cases, again, progress=False) == first
        assert again.n_asked == 0 and len(script.requests) == 9
        assert estimate(cases, again).n_requests == 0 and estimate(cases, again).n_kept == 9
        other = Judge(Endpoint(script.base_url, "another", key_env="CANON_TEST_KEY"), tmp_path)
        assert estimate(cases, other).n_requests == 9
    assert not any(KEY in file.read_text() for file in tmp_path.rglob("*.json"))


def test_a_damaged_reply_is_asked_for_again(tmp_path: Path) -> None:
    with serving(Script(lambda prompt: "7")) as script:
        asker = judge(script, tmp_path)
        assert asker.ask("how many?", read_number) == 7
        (file,) = tmp_path.rglob("*.json")
        file.write_text(file.read_text().replace('"reply": "7"', '"reply": "8"'))
        assert asker.ask("how many?", read_number) == 7
        file.write_text("{")
        assert asker.ask("how many?", read_number) == 7
    assert len(script.requests) == 3


def test_rate_limits_timeouts_and_server_errors_are_waited_out(tmp_path: Path) -> None:
    with serving(Script(lambda prompt: "7", [429, 503, "timeout"])) as script:
        assert judge(script, tmp_path, timeout=0.3).ask("how many?", read_number) == 7
    assert len(script.requests) == 4


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([429] * 4, "answers with status 429"),
        (["timeout"] * 4, r"did not answer within 0.3 s, 4 times. Replies so far are kept"),
        ([401], "refuses the key in CANON_TEST_KEY"),
        ([404], "status 404"),
        (["broken"], "not the chat API's"),
    ],
)
def test_an_endpoint_that_fails_is_told_and_nothing_is_lost(
    tmp_path: Path, steps: list[int | str], message: str
) -> None:
    cases = build_cases(*planted())
    with serving(Script(honest)) as script:
        asker = judge(script, tmp_path, timeout=0.3)
        asker.ask(explain_prompt(cases[0]), str)
        script.steps = list(steps)
        with pytest.raises(JudgeError, match=message) as error:
            interpret(cases, asker, progress=False)
        assert KEY not in str(error.value)
        script.steps = []
        assert [row.accuracy for row in interpret(cases, asker, progress=False)] == [1.0] * 3
        assert sum(r["messages"][0]["content"] == explain_prompt(cases[0]) for r in script.requests) == 1


def test_an_endpoint_that_is_not_there(tmp_path: Path) -> None:
    with serving(Script(honest)) as script:
        pass
    with pytest.raises(JudgeError, match=r"cannot be reached .* run it again to go on"):
        judge(script, tmp_path, retries=0).ask("anyone?", str)


@pytest.mark.parametrize("key", [KEY + "\n", "\r" + KEY])
def test_a_key_with_a_line_break_works_and_is_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("CANON_TEST_KEY", key)
    with serving(Script(lambda prompt: "7")) as script:
        assert judge(script, tmp_path).ask("how many?", read_number) == 7
    assert script.keys == [f"Bearer {KEY}"]


@pytest.mark.parametrize("key", ["sk-\u00e4-secret", "sk-a\nsecret"])
def test_a_key_that_cannot_be_one_is_refused_without_showing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("CANON_TEST_KEY", key)
    with pytest.raises(ConfigError, match="the key in CANON_TEST_KEY has characters") as error:
        Judge(Endpoint("http://127.0.0.1:9/v1", "m", key_env="CANON_TEST_KEY"), tmp_path).ask("?", str)
    assert "secret" not in str(error.value)


def test_an_endpoint_that_echoes_the_key_does_not_get_it_into_the_message(tmp_path: Path) -> None:
    with serving(Script(honest, [400])) as script:
        script.echo = f"bad request with Bearer {KEY}"
        with pytest.raises(JudgeError, match=r"status 400 .*\*\*\*") as error:
            judge(script, tmp_path).ask("?", str)
        assert KEY not in str(error.value)


def test_a_reply_that_is_cut_off_names_the_limit(tmp_path: Path) -> None:
    with serving(Script(honest)) as script:
        script.finish_reason = "length"
        with pytest.raises(JudgeError, match="cut off at 300 tokens: raise max_tokens"):
            judge(script, tmp_path).ask("how many?", read_number)


def test_a_malformed_reply_is_sent_back_with_the_reason(tmp_path: Path) -> None:
    with serving(Script(lambda prompt: "7", ["seven", "lots"])) as script:
        assert judge(script, tmp_path).ask("how many?", read_number) == 7
    last = script.requests[-1]["messages"]
    assert [m["role"] for m in last] == ["user", "assistant", "user", "assistant", "user"]
    assert last[1]["content"] == "seven" and "invalid literal" in last[2]["content"]


def test_malformed_replies_to_the_end_fail_one_case_and_are_not_kept(tmp_path: Path) -> None:
    cases = build_cases(*planted())
    bad = {"matches": "all"}
    with serving(Script(lambda p: json.dumps(bad) if p == detect_prompt(cases[1], "things that are blue") else honest(p)
                        )) as script:  # fmt: skip
        asker = judge(script, tmp_path)
        found = interpret(cases, asker, progress=False)
        assert [row.accuracy for row in found] == [1.0, None, 1.0]
        assert "no readable reply in 3 tries" in found[1].error and found[1].explanation == "things that are blue"
        with pytest.raises(MalformedReplyError, match="no readable reply in 3 tries: it is"):
            asker.ask("number?", lambda reply: _refuse(reply))
        assert estimate(cases, asker).n_requests == 2  # that reply, and the control after it, which was never put


def _refuse(reply: str) -> str:
    raise ValueError(f"it is {reply!r}")


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ("no idea", "no JSON object"),
        ('{"matches": [1, 11]}', "11 is none of them"),
        ('{"matches": [true]}', "whole numbers"),
        ('{"matches": [1', "no JSON object"),
        ('{"matches": [1,}', "not JSON"),
        ('{"explanation": " "}', "no text"),
        ('[{"matches": 1}, 2]', "whole numbers"),
    ],
)
def test_what_cannot_be_read_says_why(reply: str, why: str) -> None:
    from canonlib.judge import interpreting

    parse = interpreting._explanation if "explanation" in reply else lambda r: interpreting._matches(r, n=10)
    with pytest.raises(ValueError, match=why):
        parse(reply)


def test_hostile_texts_stay_text() -> None:
    case = Case(0, (("$n ${latents} </b> {",),) * 2, (("$explanation",),) * 2, (True, False))
    assert "$n ${latents} </b> {" in explain_prompt(case)
    assert "$explanation" in detect_prompt(case, "costs $5")


def test_the_cost_is_counted_by_hand(tmp_path: Path) -> None:
    cases = build_cases(*planted())
    asker = Judge(Endpoint("http://127.0.0.1:9/v1", "none", max_tokens=100), tmp_path)
    found = estimate(cases, asker)
    assert (found.n_requests, found.n_kept, found.output_tokens) == (9, 0, 900)
    least = sum(tokens(explain_prompt(c)) + 2 * tokens(detect_prompt(c, "")) for c in cases)
    assert least < found.input_tokens < least + 9 * 30
    assert tokens("abcde") == 2
    assert found.price(Prices(1.0, 10.0)) == pytest.approx(found.input_tokens / 1e6 + 0.009)
    assert "about 0.01" in found.told(Prices(1.0, 10.0)) and "9 requests to send" in found.told(Prices())
    assert estimate(cases[:1], asker).n_requests == 2, "a case alone has no control"


def test_bad_endpoints_name_the_field(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="base_url must begin with http"):
        Endpoint("localhost:8000", "m")
    with pytest.raises(ConfigError, match="model must name"):
        Endpoint("http://localhost", "")
    with pytest.raises(ConfigError, match=r"timeout"):
        Endpoint("http://localhost", "m", timeout=0)
    with pytest.raises(ConfigError, match="price of output tokens"):
        Prices(1.0, -1.0)
    monkeypatch.delenv("CANON_TEST_KEY")
    with pytest.raises(ConfigError, match="set the environment variable CANON_TEST_KEY"):
        Judge(Endpoint("http://127.0.0.1:9/v1", "m", key_env="CANON_TEST_KEY"), tmp_path).ask("?", str)


def test_the_command_from_folders(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    folders = _folders(tmp_path)
    with serving(Script(honest)) as script:
        where = ["interpret", "--base-url", script.base_url, "--model", "m", "--key-env", "CANON_TEST_KEY",
                 "--cache", str(tmp_path / "replies"), *folders]  # fmt: skip
        cost = CliRunner().invoke(app, [*where, "--cost", "--price-in", "2"])
        assert cost.exit_code == 0 and "9 requests to send" in cost.output and script.requests == []
        refused = CliRunner().invoke(app, where, input="n\n")
        assert refused.exit_code == 1 and script.requests == []
        done = CliRunner().invoke(app, [*where, "--yes", "--out", str(tmp_path / "names.json")])
        assert done.exit_code == 0, done.output
        again = CliRunner().invoke(app, where)  # nothing left to ask, so nothing to confirm
        assert again.exit_code == 0 and len(script.requests) == 9
    rows = json.loads((tmp_path / "names.json").read_text())
    assert {row["explanation"] for row in rows} == {f"things that are {c}" for c in COLOURS}
    assert all(row["accuracy"] == 1.0 for row in rows)
    with serving(Script(lambda p: honest(p).replace("things", "[/b] [red]things"))) as hostile:
        where[2] = hostile.base_url
        shown = CliRunner().invoke(app, [*where, "--yes"], env={"COLUMNS": "200"})
        assert shown.exit_code == 0 and "[/b] [red]things that are" in shown.output
    with serving(Script(lambda p: "no idea")) as silent:
        where[2] = silent.base_url
        shown = CliRunner().invoke(app, [*where, "--yes"], env={"COLUMNS": "200"})
        assert shown.exit_code == 0 and "no reply: m gave no readable reply" in shown.output
    half = CliRunner().invoke(app, [*where[:7], *folders[:2]])
    assert half.exit_code == 2 and "belong together" in half.output


def _folders(root: Path) -> list[str]:
    """An SAE of 36 latents in three directions, a meta-SAE of three meta-latents, and texts."""
    from sae_lens.saes.standard_sae import StandardSAE, StandardSAEConfig

    from canonlib.meta import MetaConfig, train_meta_sae

    activations, contexts = planted()
    sae = StandardSAE(StandardSAEConfig(d_in=8, d_sae=36))
    noise = 0.05 * torch.randn(36, 8, generator=torch.Generator().manual_seed(0))
    sae.W_dec.data = (activations > 0).float() @ torch.eye(3, 8) + noise
    sae.save_model(root / "sae")
    meta = train_meta_sae(sae, MetaConfig(3, k=1, steps=1, batch_size=36), progress=False)
    for name, value in {"W_enc": torch.eye(8, 3), "W_dec": torch.eye(3, 8), "threshold": torch.full((3,), 0.7)}.items():
        getattr(meta.sae, name).copy_(value)
    meta.sae.b_enc.zero_()
    meta.sae.b_dec.zero_()
    level = float(meta.sae.threshold[0])
    told = replace(meta.report, threshold=level, trained_threshold=level, l0=1.0, trained_l0=1.0, dead_fraction=0.0)
    meta = replace(meta, report=told)
    meta.save(root / "meta")
    (root / "texts.json").write_text(json.dumps(contexts))
    return ["--meta", str(root / "meta"), "--sae", str(root / "sae"), "--contexts", str(root / "texts.json")]

"""Claims are data; the committed table has no failing claim, and every page that shows it shows the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from canonlib.claims import Claim, table, verdict
from canonlib.claims.rules import span
from canonlib.cli.claims import write_files
from canonlib.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1]


def _claim(**changes: object) -> Claim:
    fields = {
        "id": "a-b", "chapter": 3, "sentence": "It holds.", "paper": "", "source": "", "ours": "0.5",
        "bound": "at least 0.4", "verdict": "holds", "tier": "world", "reason": "",
    }  # fmt: skip
    return Claim(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("holds", "paper", "reason", "expected"),
    [
        (True, "55%", "", "agrees"),
        (True, "", "", "holds"),
        (True, "", "never mind", "holds"),
        (False, "55%", "smaller model", "differs"),
        (False, "55%", "", "fails"),
        (False, "", "", "fails"),
        (False, "", "too hard a bound", "fails"),
    ],
)
def test_verdicts(holds: bool, paper: str, reason: str, expected: str) -> None:
    assert verdict(holds, paper, reason) == expected


def test_a_difference_needs_a_reason() -> None:
    with pytest.raises(ConfigError, match="'differs' needs a reason"):
        _claim(verdict="differs")
    with pytest.raises(ConfigError, match="'not tested here' needs a reason"):
        _claim(verdict="not tested here")
    assert _claim(verdict="fails").broken
    assert not _claim(verdict="fails", reason="the bound was too hard").broken
    assert not _claim(verdict="differs", reason="small").broken


def test_span() -> None:
    assert span([0.914, 0.98]) == "0.91 to 0.98"
    assert span([0.9111, 0.9112]) == "0.91"


def test_the_markdown_table_escapes_and_shows_every_claim() -> None:
    text = table.markdown([_claim(sentence="a | b"), _claim(paper="7", source="there", verdict="agrees")])
    assert text.splitlines()[2] == "| a \\| b | — | 0.5 | ✓ holds |"
    assert text.splitlines()[3] == "| It holds. | 7 (there) | 0.5 | ✓ agrees |"


def test_a_block_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    table.write_block(page, "new\n")
    assert page.read_text() == f"before\n{table.BEGIN}\nnew\n{table.END}\nafter\n"
    page.write_text("no markers")
    with pytest.raises(ConfigError, match="claims:begin"):
        table.write_block(page, "new")


def test_the_committed_claims_hold_and_the_readme_shows_them() -> None:
    claims = table.loads((ROOT / "book" / "claims.json").read_text(encoding="utf8"))
    assert [c.id for c in claims if c.broken] == []
    assert len([c for c in claims if c.verdict in ("agrees", "holds")]) >= 8
    assert table.markdown(claims) in (ROOT / "README.md").read_text(encoding="utf8")


def test_each_claim_is_shown_by_its_own_chapter() -> None:
    claims = table.loads((ROOT / "book" / "claims.json").read_text(encoding="utf8"))
    for claim in claims:
        (chapter,) = (ROOT / "book").glob(f"0{claim.chapter}-*.ipynb")
        wanted = claim.reason if claim.verdict == "not tested here" else claim.ours
        quoted = json.dumps(wanted, ensure_ascii=False)[1:-1]
        escaped = quoted.replace("'", "&#x27;")
        shown = chapter.read_text(encoding="utf8")
        assert quoted in shown or escaped in shown, f"{chapter.name} does not show claim {claim.id}: {wanted!r}"


def test_the_first_page_and_the_last_chapter_show_the_whole_table() -> None:
    claims = table.loads((ROOT / "book" / "claims.json").read_text(encoding="utf8"))
    wanted = [line for line in table.markdown(claims).splitlines() if line]
    for name in ("intro.ipynb", "07-findings.ipynb"):
        cells = json.loads((ROOT / "book" / name).read_text(encoding="utf8"))["cells"]
        shown = [o["data"].get("text/markdown", "") for c in cells for o in c.get("outputs", []) if "data" in o]
        lines = {line for text in shown for line in "".join(text).splitlines()}
        assert [line for line in wanted if line not in lines] == [], name


def test_only_the_readme_is_written_into(tmp_path: Path) -> None:
    (tmp_path / "book").mkdir()
    with pytest.raises(ConfigError, match=r"has no README.md"):
        write_files(tmp_path, [_claim()])
    (tmp_path / "README.md").write_text(f"top\n{table.BEGIN}\n{table.END}\nend\n")
    write_files(tmp_path, [_claim()])
    assert (
        tmp_path / "README.md"
    ).read_text() == f"top\n{table.BEGIN}\n\n{table.markdown([_claim()])}\n{table.END}\nend\n"
    assert table.loads((tmp_path / "book" / "claims.json").read_text()) == [_claim()]


@pytest.mark.parametrize(("text", "shown"), [
    ("<b>bold</b> a < b <3", "<b>bold</b> a < b <3"),
    ("<img src=x onerror=alert(1)>", "&lt;img src=x onerror=alert(1)>"),
    ("</td><script>x</script>", "&lt;/td>&lt;script>x&lt;/script>"),
    ("<!-- x --><?php ?>", "&lt;!-- x -->&lt;?php ?>"),
    ("<B onclick=x>y", "&lt;B onclick=x>y"),
    ("<b onclick=x>y", "&lt;b onclick=x>y"),
    ("![p](http://x/y.png)", "!\\[p](http://x/y.png)"),
    ("[a](b.md)", "[a](b.md)"),
    ("{term}`latents <latent>` and `<i>`", "{term}`latents <latent>` and `<i>`"),
    ("``a ` <i>`` <i>", "``a ` <i>`` &lt;i>"),
    ("\\`<i>`", "\\`&lt;i>`"),  # the first is no backtick to Markdown
    ("` <i>", "` &lt;i>"),
    ("`a`` <i> `` b`", "`a`` <i> `` b`"),  # one run of one to the next run of one
])  # fmt: skip
def test_what_comes_from_data_is_shown_and_not_run(text: str, shown: str) -> None:
    assert table.harmless(text) == shown


def test_a_cell_is_one_line_and_its_bars_are_no_borders() -> None:
    assert table.in_a_cell("a | b\n\n| c <i>") == "a \\| b \\| c &lt;i>"
    row = table.markdown([_claim(ours="<img src=x onerror=y>")]).splitlines()[2]
    assert "&lt;img" in row and "<img" not in row

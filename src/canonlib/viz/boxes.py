"""Computed prose: sentences and claim boxes whose numbers come from the cell that shows them."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

from canonlib.claims import Claim
from canonlib.claims.table import HEADERS, MARKS, cells, harmless, in_a_cell, markdown


class Say:
    """A Markdown paragraph with computed numbers, shown as text wherever a notebook is shown; HTML in it is shown as text."""

    def __init__(self, text: str) -> None:
        self.text = harmless(" ".join(text.split()))

    def _repr_markdown_(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text


class ClaimBox:
    """A claim: the sentence, the paper's value with its place, ours, what would count, the verdict."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim

    def rows(self) -> list[tuple[str, str]]:
        """Label and text of each line of the box."""
        c = self.claim
        rows = [("Paper", f"{c.paper} ({c.source})")] if c.paper else []
        rows += [("Ours", c.ours)] if c.ours else []
        rows += [("Counts as agreement", c.bound)] if c.bound else []
        rows += [("Why", c.reason)] if c.reason else []
        return [*rows, ("Verdict", MARKS[c.verdict])]

    def _repr_html_(self) -> str:
        kind = self.claim.verdict.split()[0]
        lines = "".join(f"<dt>{escape(label)}</dt><dd>{escape(text)}</dd>" for label, text in self.rows())
        return f'<div class="canon-claim canon-claim-{kind}"><p>{escape(self.claim.sentence)}</p><dl>{lines}</dl></div>'

    def __repr__(self) -> str:
        return "\n".join([self.claim.sentence, *(f"  {label}: {text}" for label, text in self.rows())])


def say(text: str) -> Say:
    """Show a Markdown paragraph: ``say(f"We found {n} latents.")`` as a cell's last line.

    >>> say(f"We found **{3}** latents.")
    We found **3** latents.
    """
    return Say(text)


def claim_box(claim: Claim) -> ClaimBox:
    """Show a claim with its verdict.

    >>> claim_box(Claim("demo", 3, "Low cosine predicts novelty.", "", "", "AUC 0.96", "above 0.9", "holds", "world"))
    Low cosine predicts novelty.
      Ours: AUC 0.96
      Counts as agreement: above 0.9
      Verdict: ✓ holds
    """
    return ClaimBox(claim)


def table(rows: list[dict[str, Any]], columns: dict[str, tuple[str, str]]) -> Say:
    """A Markdown table of computed rows; ``columns`` maps a key to its header and its format, such as ``".1%"``.

    Columns with a format are numbers and stand to the right; those with an empty one are texts, in which HTML is shown as it
    is written (but for ``<b>``). None and NaN, for what
    does not exist, become a dash.

    >>> table([{"size": 64, "mse": 0.1234}], {"size": ("latents", ",d"), "mse": ("MSE", ".2f")})
    | latents | MSE |
    |---:|---:|
    | 64 | 0.12 |
    """
    head = "| " + " | ".join(header for header, _ in columns.values()) + " |"
    rule = "|" + "".join("---:|" if spec else "---|" for _, spec in columns.values())
    body = ["| " + " | ".join(_cell(row[key], spec) for key, (_, spec) in columns.items()) + " |" for row in rows]
    out = Say("")
    out.text = "\n".join([head, rule, *body])
    return out


class ClaimsTable:
    """The claims, one row for each: sentence, paper, ours, verdict; on a phone the book stacks a row's cells."""

    def __init__(self, claims: Iterable[Claim]) -> None:
        self.claims = list(claims)

    def _repr_markdown_(self) -> str:
        return markdown(self.claims)

    def _repr_html_(self) -> str:
        # The roles are those that a table has by itself, until a style sheet stacks its cells and takes them away.
        top = "".join(f'<th role="columnheader" scope="col">{escape(name)}</th>' for name in HEADERS)
        rows = "".join(self._row(claim) for claim in self.claims)
        return (
            f'<table class="table canon-claims" role="table"><thead role="rowgroup"><tr role="row">{top}</tr></thead>'
            f'<tbody role="rowgroup">{rows}</tbody></table>'
        )

    def _row(self, claim: Claim) -> str:
        kind = claim.verdict.split()[0]
        row = "".join(
            f'<td role="cell" data-label="{escape(name)}">{escape(text)}</td>'
            for name, text in zip(HEADERS, cells(claim), strict=True)
        )
        return f'<tr role="row" class="canon-claim-{kind}">{row}</tr>'

    def __repr__(self) -> str:
        return markdown(self.claims)


def claims_table(claims: Iterable[Claim]) -> ClaimsTable:
    """Show the claims as a table, one row for each: sentence, paper, ours, verdict."""
    return ClaimsTable(claims)


def _cell(value: Any, spec: str) -> str:
    missing = value is None or value != value
    return "–" if missing else format(value, spec) if spec else in_a_cell(str(value))

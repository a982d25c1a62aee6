"""Claims of chapter 5: what the meta-SAE finds."""

from __future__ import annotations

from canonlib.claims.model import Claim
from canonlib.claims.rules import claim_of
from canonlib.pipeline.run import Run


def meta_variance(run: Run) -> Claim:
    """Variance explained by the meta-SAE."""
    share = run.meta.summary["variance_explained"]
    return claim_of(
        run, share >= 0.5, id="meta-variance", chapter=5, bound="at least half, in sample",
        paper="55.47%", source="Leask et al. 2025, meta-SAEs",
        sentence="A small meta-SAE with four active meta-latents explains at least half of the decoder's variance.",
        ours=f"{share:.0%} ({run.tier.meta_latents} meta-latents on {run.meta.summary['n_alive']:,} latents)",
    )  # fmt: skip


def meta_control(run: Run) -> Claim:
    """More than the controls."""
    s = run.meta.summary
    share, shuffled, gaussian = s["variance_explained"], s["variance_shuffled"], s["variance_gaussian"]
    most = gaussian - shuffled > share - gaussian
    beyond = "most of that is their covariance" if most else "less than half of that is their covariance"
    return claim_of(
        run, share >= 2 * shuffled, id="meta-control", chapter=5, bound="at least twice the shuffled control's",
        sentence=f"Shared parts explain decoder directions far better than shuffled or random ones; {beyond}.",
        ours=f"{share:.0%} against {shuffled:.0%} (shuffled), {s['variance_untrained']:.0%} (an untrained decoder) and "
        f"{gaussian:.0%} (Gaussian, of the same covariance); on rows held out {s['variance_held_out']:.0%} against "
        f"{s['variance_gaussian_held_out']:.0%} (Gaussian)",
    )  # fmt: skip


def meta_facts(run: Run) -> Claim:
    """Meta-latents are facts."""
    s = run.meta.summary
    return claim_of(
        run, s["mean_best_f1"] > s["chance_best_f1"] and s["n_beyond_chance"] > 0.01 * s["n_used"],
        id="meta-facts", chapter=5,
        bound="mean best F1 above chance (facts dealt anew among people and among cities), and more meta-latents at "
        "p < 0.01 than the hundredth that luck lets pass",
        paper="by eye: Einstein is science, prominent figures, German, E...", source="meta-SAE post",
        sentence="Meta-latents match true attributes of the entities whose latents use them better than chance.",
        ours=f"mean best F1 {s['mean_best_f1']:.2f} against {s['chance_best_f1']:.2f} by chance, "
        f"{s['n_beyond_chance']} of {s['n_used']} at p < 0.01; best: {s['best_names']}",
    )  # fmt: skip


RULES = (meta_variance, meta_control, meta_facts)

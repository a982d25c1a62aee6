"""A group of SAEs that one process trains from one stream, each into the store as an artefact of its own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

from canonlib.store import Build, Store
from canonlib.tiers import Family, Member, Tier

if TYPE_CHECKING:
    from canonlib.sae.training import News

CODE = (
    "canonlib.rows", "canonlib.sae.architectures", "canonlib.sae.batches", "canonlib.sae.fast", "canonlib.sae.folders",
    "canonlib.sae.entries", "canonlib.sae.gradients", "canonlib.sae.preselect", "canonlib.sae.select",
    "canonlib.sae.training",
)  # fmt: skip
"""What decides how an SAE comes out."""


class Job(NamedTuple):
    """One SAE to train."""

    family: Family
    member: Member

    @property
    def cost(self) -> float:
        """Latents times tokens: what the time is roughly proportional to."""
        return float(self.member.size + 64) * self.family.steps * self.family.batch


class Told(NamedTuple):
    """News from a process in training."""

    job: str
    tokens: int
    """Tokens that its SAE has taken since the last news."""
    mse: float
    l0: float
    dead: int


Tell = Callable[[Told], None]


def configuration(tier: Tier, job: Job, harvest: str) -> dict[str, Any]:
    """Everything that decides one SAE (the store's key)."""
    fields = asdict(job.family)
    kept = {name: fields[name] for name in ("architecture", "tokens", "steps", "batch", "lr")}
    member = {"n_latents": job.member.size, "sparsity": job.member.sparsity, "seed": tier.seed + job.member.seed}
    return {**kept, **member, "activations": harvest, "metadata": metadata(tier)}


def metadata(tier: Tier) -> dict[str, Any]:
    """SAELens's metadata of the tier: which model and hook point the SAE belongs to."""
    name = "canonlib-world" if tier.model == "embedded" else tier.model
    return {"model_name": name, "hook_name": tier.hook, "context_size": tier.context, "prepend_bos": True}


def groups(jobs: Sequence[Job], parts: int) -> list[list[Job]]:
    """Jobs that can share a stream (tokens, batch size, seed), each such set dealt into ``parts`` of similar cost.

    The dearest group comes first.
    """
    streams: dict[tuple[str, int, int], list[Job]] = defaultdict(list)
    for job in sorted(jobs, key=lambda j: -j.cost):
        streams[job.family.tokens, job.family.batch, job.member.seed].append(job)
    dealt: list[list[Job]] = []
    for stream in streams.values():
        shares: list[list[Job]] = [[] for _ in range(min(parts, len(stream)))]
        for job in stream:
            min(shares, key=lambda share: sum(j.cost for j in share)).append(job)
        dealt += shares
    return sorted(dealt, key=lambda share: -sum(j.cost for j in share))


def train_group(
    store_root: str, tier: Tier, jobs: Sequence[Job], tell: Tell | None = None, device: str = "cpu"
) -> list[str]:
    """Train the jobs of one group into the store, from one stream; those that are there already are left alone.

    Returns the artefacts' keys, in the order of ``jobs``. Runs in a process of its own, on one thread, so that the
    result does not depend on how many cores there are. device: where the SAEs are trained.
    """
    import torch

    from canonlib import activations

    torch.set_num_threads(1)
    store = Store(store_root)
    data = activations.harvest(tier, store, progress=False)
    configs = {job: configuration(tier, job, data.key) for job in jobs}
    keys: dict[Job, str] = {}

    def nest(waiting: list[Job], building: list[tuple[Job, Build]]) -> None:
        """Enter the store's builders one inside the other; the innermost trains them all."""
        if not waiting:
            _train(tier, data, building, tell, device)
            return
        job, rest, entered = waiting[0], waiting[1:], False

        def build(b: Build) -> None:
            nonlocal entered
            entered = True
            nest(rest, [*building, (job, b)])

        keys[job] = store.get_or_build("sae", configs[job], build, code=list(CODE)).key
        if not entered:
            nest(rest, building)

    # In one order everywhere, so that two processes cannot wait for each other's locks.
    nest(sorted(jobs, key=lambda j: store.key("sae", configs[j], code=list(CODE))), [])
    return [keys[job] for job in jobs]


def _train(tier: Tier, data: Any, building: list[tuple[Job, Build]], tell: Tell | None, device: str) -> None:
    from canonlib.sae.training import REPORT_EVERY, Training, train_together

    if not building:
        return
    first = building[0][0]
    rows = data.rows("train", first.family.tokens)
    trainings = [
        Training(job.family, job.member, rows, tier.seed, b.checkpoint, metadata(tier), device=device)
        for job, b in building
    ]

    def report(t: Training, news: News) -> None:
        if tell is not None:
            tokens = min(REPORT_EVERY, news.step - t.resumed_from) * t.family.batch
            tell(Told(f"{t.family.name} {t.member.size}", tokens, news.losses["mse_loss"], news.l0, news.dead))

    train_together(trainings, rows, tier.seed + first.member.seed, report)
    for training, (_, b) in zip(trainings, building, strict=True):
        b.note(resumed_from=training.resumed_from)
        training.finish(b.folder)

"""Sample cases: simulated slices of every stage and scanner, from seeds that nothing was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial

from plugins.liver_fibrosis.data import slice_study
from plugins.liver_fibrosis.make_data import STREAMS
from plugins.liver_fibrosis.simulator import STAGES, simulate
from whycad.phantom import DeferredCase, PhantomCase


@dataclass(frozen=True)
class Sample:
    """One entry of the sample list."""

    stage: int
    scanner: str
    seed: int
    remark: str

    @property
    def name(self) -> str:
        """Short title."""
        return f"{STAGES[self.stage]}, scanner {self.scanner}, no. {self.seed}"

    @property
    def description(self) -> str:
        """One sentence on what is to be seen."""
        return f"Simulated hepatobiliary-phase slice, stage {STAGES[self.stage]}: {self.remark}."


SAMPLES: tuple[Sample, ...] = (
    Sample(0, "A", 1, "bright even liver, smooth surface"),
    Sample(0, "C", 2, "no fibrosis, on the scanner that was never trained on"),
    Sample(1, "B", 3, "hardly any change; the stage is ambiguous"),
    Sample(2, "A", 4, "faint reticular pattern"),
    Sample(2, "C", 5, "middle stage on the scanner that was never trained on"),
    Sample(3, "B", 6, "reticular pattern, uneven surface"),
    Sample(3, "A", 7, "reticular pattern at low field strength, more noise"),
    Sample(4, "A", 8, "nodular surface, large caudate, large spleen"),
    Sample(4, "B", 9, "cirrhosis with a darker liver"),
    Sample(4, "C", 10, "cirrhosis on the scanner that was never trained on"),
    Sample(3, "D", 11, "severe fibrosis on a second scanner that was never trained on, with a sharpening filter"),
)


def make_case(sample: Sample) -> PhantomCase:
    """Simulate one sample; its mask is the liver."""
    item = simulate((STREAMS["phantom"], sample.seed), sample.stage, sample.scanner)
    return PhantomCase(
        study=slice_study(item),
        mask=item.masks["liver"],
        label=STAGES[sample.stage],
        name=sample.name,
        description=sample.description,
    )


@cache
def sample_cases() -> tuple[PhantomCase, ...]:
    """Return the sample cases of the demo; each is simulated when its study is first asked for."""
    return tuple(
        DeferredCase(
            partial(make_case, sample),
            label=STAGES[sample.stage],
            name=sample.name,
            description=sample.description,
        )
        for sample in SAMPLES
    )

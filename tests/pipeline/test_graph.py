"""What the batch graph must not be wired like."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor

from pipeline.config import Config
from pipeline.graph import Folders, build
from schemas.barriers import Gather
from schemas.blocks import REJECTED


class SideInputs(PipelineVisitor):  # type: ignore[misc]
    """Every collection that a step reads as a side input, with the step's name."""

    def __init__(self) -> None:
        self.found: list[tuple[str, beam.PCollection]] = []

    def visit_transform(self, transform_node: AppliedPTransform) -> None:
        self.found += [(transform_node.full_label, side.pvalue) for side in transform_node.side_inputs]


def producers(collection: beam.PCollection) -> Iterator[beam.PTransform]:
    """The steps between a collection and the shuffles before it."""
    step: Any = collection.producer
    if step is None:
        return  # the pipeline itself
    while step.parts:  # a composite: the step inside that makes the collection
        step = next(part for part in step.parts if collection in part.outputs.values())
    yield step.transform
    if not isinstance(step.transform, beam.GroupByKey):
        for each in step.main_inputs.values():
            yield from producers(each)


def merged_side_inputs(pipeline: beam.Pipeline) -> list[str]:
    """Steps that read what several stages fill, which FnApiRunner takes for complete when one of them is done."""
    sides = SideInputs()
    pipeline.visit(sides)
    assert sides.found
    return [name for name, side in sides.found if any(isinstance(each, beam.Flatten) for each in producers(side))]


def test_no_step_reads_what_several_stages_fill_but_behind_a_shuffle(tmp_path: Path) -> None:
    pipeline = beam.Pipeline()
    folders = Folders(str(tmp_path / "scratch"), str(tmp_path / "staging"), str(tmp_path / "state"))
    build(pipeline, [], REJECTED.empty_table(), Config(), folders)
    assert merged_side_inputs(pipeline) == []


def test_the_check_finds_one_that_does() -> None:
    pipeline = beam.Pipeline()
    one, other = pipeline | "One" >> beam.Create([1]), pipeline | "Other" >> beam.Create([2])
    _ = (one, other) | beam.Flatten() | beam.Map(str) | Gather(list)
    assert merged_side_inputs(pipeline) == ["Gather/Gather"]

"""What the batch graph must not be wired like."""

from pathlib import Path

import apache_beam as beam
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor

from pipeline.config import Config
from pipeline.graph import Folders, build
from schemas.barriers import Gather, Merge
from schemas.blocks import REJECTED


class Flattens(PipelineVisitor):  # type: ignore[misc]
    """Every step that merges collections, by name."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def visit_transform(self, transform_node: AppliedPTransform) -> None:
        if isinstance(transform_node.transform, beam.Flatten):
            self.found.append(transform_node.full_label)


def flattens(pipeline: beam.Pipeline) -> list[str]:
    """Steps whose output FnApiRunner takes for complete when one of the stages that fill it is done."""
    seen = Flattens()
    pipeline.visit(seen)
    return seen.found


def test_nothing_is_merged_but_by_a_step_that_waits_for_all_of_it(tmp_path: Path) -> None:
    pipeline = beam.Pipeline()
    folders = Folders(str(tmp_path / "scratch"), str(tmp_path / "staging"), str(tmp_path / "state"))
    build(pipeline, [], REJECTED.empty_table(), Config(), folders)
    assert [name for name in flattens(pipeline) if "CombineGlobally" not in name] == []


def test_the_check_finds_what_is_merged_otherwise() -> None:
    pipeline = beam.Pipeline()
    one, other = pipeline | "One" >> beam.Create([1]), pipeline | "Other" >> beam.Create([2])
    _ = (one, other) | "Joined" >> beam.Flatten() | beam.Map(str) | Gather(list)
    _ = (one, other) | "Merged" >> Merge(int)
    assert flattens(pipeline) == ["Joined"]

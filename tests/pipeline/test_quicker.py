"""What is worked out once must be what Beam would work out each time."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PortableOptions
from apache_beam.pipeline import PipelineVisitor
from apache_beam.transforms import userstate

from pipeline import quicker
from pipeline.config import Config
from pipeline.engine import DEFAULT_RUNNER, new_pipeline, pipeline_options
from pipeline.graph import Folders, build
from pipeline.stream import Stream, build_stream
from schemas.barriers import Spread
from schemas.blocks import REJECTED


@pytest.fixture
def pipeline() -> beam.Pipeline:
    return new_pipeline(DEFAULT_RUNNER, pipeline_options(1, ()))


def batch(folder: Path) -> beam.Pipeline:
    empty = new_pipeline(DEFAULT_RUNNER, pipeline_options(1, ()))
    folders = Folders(str(folder / "scratch"), str(folder / "staging"), str(folder / "state"))
    build(empty, [], REJECTED.empty_table(), Config(), folders)
    return empty


def dofns(pipeline: beam.Pipeline) -> Iterator[Any]:
    found = []

    class Each(PipelineVisitor):  # type: ignore[misc]
        def visit_transform(self, node: Any) -> None:
            if isinstance(node.transform, beam.ParDo):
                found.append(node.transform.fn)

    pipeline.visit(Each())
    yield from found


def test_every_step_asks_for_the_state_that_beam_finds_in_it(pipeline: beam.Pipeline, tmp_path: Path) -> None:
    stream = Stream(["watched"], tmp_path, Config(), "PrismRunner")
    build_stream(pipeline, ["watched"], stream, str(tmp_path))
    asked = [(each, userstate.get_dofn_specs(each)) for graph in (pipeline, batch(tmp_path)) for each in dofns(graph)]
    assert [specs for _, specs in asked] == [quicker.inspected_specs(each) for each, _ in asked]
    assert sum(bool(states) for _, (states, _) in asked) == 2  # of a stream: how far it asked, what waits


def test_what_is_spread_is_there_once(pipeline: beam.Pipeline, tmp_path: Path) -> None:
    found = tmp_path / "found"
    with pipeline:
        numbers = pipeline | "Some" >> beam.Create([*range(50), 7]) | "Spread" >> Spread(int)
        _ = (
            numbers
            | "Write" >> beam.combiners.ToList()
            | "All" >> beam.Map(lambda all_: found.write_text(str(sorted(all_))))
        )
    assert found.read_text() == str(sorted([*range(50), 7]))


def test_beam_does_not_break_off_a_job_on_prism() -> None:
    options = pipeline_options(1, [], "PrismRunner", streaming=True)
    assert options.view_as(PortableOptions).job_server_timeout > 365 * 86_400

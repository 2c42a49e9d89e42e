"""What the batch graph must not be wired like: where FnApiRunner would give a step less than all of its input."""

from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.runners.portability.fn_api_runner.translations import create_buffer_id
from apache_beam.runners.worker.bundle_processor import DATA_INPUT_URN, DATA_OUTPUT_URN

from pipeline.config import Config
from pipeline.engine import DEFAULT_RUNNER, new_pipeline, pipeline_options
from pipeline.graph import Folders, build
from schemas.barriers import Gather
from schemas.blocks import REJECTED


def faults(pipeline: beam.Pipeline) -> list[str]:
    """The side inputs of which FnApiRunner may give a step too little, each with what is wrong with it."""
    context, stages = FnApiRunner().create_stages(pipeline.to_runner_api())
    read, written = (
        [{step.spec.payload for step in stage.transforms if step.spec.urn == urn} for stage in stages]
        for urn in (DATA_INPUT_URN, DATA_OUTPUT_URN)
    )

    def bundles(buffer: bytes) -> int:
        """How many bundles fill a buffer, each of which says that it is complete."""
        filling = [inputs for inputs, outputs in zip(read, written, strict=True) if buffer in outputs]
        return sum(bundles(each) for inputs in filling for each in inputs) or 1

    found = []
    for name in set().union(*(stage.side_inputs() for stage in stages)):
        label, buffer = context.components.pcollections[name].unique_name, create_buffer_id(name)
        found += [f"main input too: {label}" for inputs in read if buffer in inputs]
        found += [f"complete after the first of {many} bundles: {label}" for many in [bundles(buffer)] if many > 1]
    return found


@pytest.fixture
def pipeline() -> beam.Pipeline:
    return new_pipeline(DEFAULT_RUNNER, pipeline_options(1, ()))


def test_each_side_input_is_filled_by_one_bundle_and_is_no_other_stages_main_input(
    pipeline: beam.Pipeline, tmp_path: Path
) -> None:
    folders = Folders(str(tmp_path / "scratch"), str(tmp_path / "staging"), str(tmp_path / "state"))
    build(pipeline, [], REJECTED.empty_table(), Config(), folders)
    assert faults(pipeline) == []


def test_the_check_finds_a_side_input_that_several_bundles_fill(pipeline: beam.Pipeline) -> None:
    one, other = (pipeline | name >> beam.Create([1]) | f"{name} shuffled" >> beam.Reshuffle() for name in "ab")
    _ = (one, other) | "Joined" >> beam.Flatten() | Gather(list)
    assert {fault.split(":")[0] for fault in faults(pipeline)} == {"complete after the first of 2 bundles"}


def test_the_check_finds_a_side_input_that_is_also_a_main_input(pipeline: beam.Pipeline) -> None:
    numbers = pipeline | "Numbers" >> beam.Create([1])
    once = numbers | "All" >> Gather(list)
    _ = numbers | "Each" >> beam.Map(max, beam.pvalue.AsSingleton(once))
    assert [fault.split(":")[0] for fault in faults(pipeline)] == ["main input too"]

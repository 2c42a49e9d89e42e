# ruff: noqa: INP001 -- a file to copy, in no package
"""Copydesk by Airflow's Beam operator: the doctor, a run every quarter of an hour, old snapshots away.

The operator calls `py_interpreter *py_options py_file --runner=… --option=value …`. So the command goes into
`py_options`, the news into `py_file`, which is templated, and a `--` before the labels that the operator adds: what
stands behind it is for the Beam runner.
"""

import datetime as dt
import re
from typing import Any

from airflow.providers.apache.beam.operators.beam import BeamRunPythonPipelineOperator
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowException, AirflowFailException

PYTHON = "/opt/copydesk/bin/python"  # an environment of its own: Airflow pins other libraries
NEWS = "/var/spool/news"
OUT = "/var/lib/copydesk/out"
NEED_A_PERSON = {1, 2, 3, 4, 6}  # exit codes that another try does not cure; 5, 7 and 8 it does


class CopydeskRun(BeamRunPythonPipelineOperator):
    """The Beam operator, which sees an exit code and retries them all, told which ones are final."""

    def execute(self, context: Any) -> None:
        """Run; fail for good where another try would fail alike."""
        try:
            super().execute(context)
        except AirflowException as error:
            code = re.search(r"return code (\d+)", str(error))
            if code and int(code[1]) in NEED_A_PERSON:
                raise AirflowFailException(str(error)) from error
            raise


with DAG(
    "copydesk",
    schedule="*/15 * * * *",
    start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    catchup=False,  # a run takes all the news that is there
    max_active_runs=1,
):
    run = CopydeskRun(
        task_id="run",
        py_interpreter=PYTHON,
        py_options=["-P", "-m", "pipeline", "run"],  # -P: not a `pipeline` of the folder that Airflow stands in
        py_file=NEWS,
        runner="FnApiRunner",
        pipeline_options={"output": OUT, "workers": 2, "json": True, "": True},  # "" makes the `--`
        retries=3,
        retry_delay=dt.timedelta(minutes=1),
        execution_timeout=dt.timedelta(hours=1),
    )
    doctor = BashOperator(task_id="doctor", bash_command=f"{PYTHON} -P -m pipeline doctor {OUT}")
    tidy = BashOperator(task_id="tidy", bash_command=f"{PYTHON} -P -m pipeline snapshots {OUT} gc")
    run >> doctor >> tidy

"""A standalone Flink on this machine: a job manager, some task managers, and Beam's job server in front of them.

    python -m tests.engines.flinkcluster FOLDER

starts them, prints the flags for `copydesk run`, and stops them on Ctrl-C.
"""

import contextlib
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.engines.fetch_flink import FOLDER, JOB_SERVER

_OPENS = [  # what Flink 1.19's own conf/config.yaml asks of Java 17
    f"--add-{kind}={module}=ALL-UNNAMED"
    for kind, modules in {
        "exports": (
            "java.base/sun.net.util java.rmi/sun.rmi.registry java.security.jgss/sun.security.krb5 "
            "jdk.compiler/com.sun.tools.javac.api jdk.compiler/com.sun.tools.javac.file "
            "jdk.compiler/com.sun.tools.javac.parser jdk.compiler/com.sun.tools.javac.tree "
            "jdk.compiler/com.sun.tools.javac.util"
        ),
        "opens": (
            "java.base/java.lang java.base/java.net java.base/java.io java.base/java.nio java.base/sun.nio.ch "
            "java.base/java.lang.reflect java.base/java.text java.base/java.time java.base/java.util "
            "java.base/java.util.concurrent java.base/java.util.concurrent.atomic java.base/java.util.concurrent.locks"
        ),
    }.items()
    for module in modules.split()
]
_QUICK = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]  # short jobs: starting is what costs
_LOG = """rootLogger.level = INFO
rootLogger.appenderRef.console.ref = Console
appender.console.name = Console
appender.console.type = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{HH:mm:ss,SSS} %-5p %c{1} %m%n
"""


@dataclass
class Cluster:
    """A running cluster; its processes end with `stop`."""

    folder: Path  # logs, checkpoints, savepoints
    slots: int = 2  # of each task manager
    settings: dict[str, str] = field(default_factory=dict)  # more of Flink's
    task_managers: int = 2
    rest: int = 0
    jobs: int = 0  # port of the job server
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def start(self) -> "Cluster":
        """Start everything and wait until it serves."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.rest, rpc, self.jobs = free_ports(3)
        shared = {
            "jobmanager.rpc.address": "127.0.0.1",
            "jobmanager.rpc.port": str(rpc),
            "jobmanager.bind-host": "127.0.0.1",
            "taskmanager.bind-host": "127.0.0.1",
            "taskmanager.host": "127.0.0.1",
            "rest.address": "127.0.0.1",
            "rest.bind-address": "127.0.0.1",
            "rest.port": str(self.rest),
            "jobmanager.memory.process.size": "1g",
            "taskmanager.numberOfTaskSlots": str(self.slots),
            "taskmanager.cpu.cores": str(self.slots),
            "taskmanager.memory.task.heap.size": "512m",
            "taskmanager.memory.task.off-heap.size": "64m",
            "taskmanager.memory.managed.size": "256m",
            "taskmanager.memory.network.min": "512m",  # a batch job shuffles through some thousand buffers of 32 KiB
            "taskmanager.memory.network.max": "512m",
            "taskmanager.memory.framework.heap.size": "128m",
            "taskmanager.memory.framework.off-heap.size": "128m",
            "taskmanager.memory.jvm-metaspace.size": "384m",
            "taskmanager.memory.jvm-overhead.min": "192m",
            "taskmanager.memory.jvm-overhead.max": "192m",
            "heartbeat.interval": "2000",
            "heartbeat.timeout": "10000",
            "restart-strategy.type": "fixed-delay",
            "restart-strategy.fixed-delay.attempts": "3",
            "restart-strategy.fixed-delay.delay": "1 s",
            "io.tmp.dirs": str(self.folder / "tmp"),
            "state.checkpoints.dir": (self.folder / "checkpoints").as_uri(),
            "state.savepoints.dir": (self.folder / "savepoints").as_uri(),
            "classloader.check-leaked-classloader": "false",
            "classloader.resolve-order": "parent-first",
            **self.settings,
        }
        conf = self.folder / "conf"
        conf.mkdir(exist_ok=True)
        (self.folder / "tmp").mkdir(exist_ok=True)
        (conf / "config.yaml").write_text("".join(f'{name}: "{value}"\n' for name, value in shared.items()))
        (conf / "log4j.properties").write_text(_LOG)
        self._java("jobmanager", ["-Xmx512m"], "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint")
        self.mend()
        return self

    def mend(self) -> None:
        """Start whatever of it does not run, cancel what jobs are left, and wait until it serves."""
        for number in range(self.task_managers):
            if f"taskmanager-{number}" not in self.processes:
                self.start_task_manager(number)
        if "jobserver" not in self.processes:
            self.start_job_server()
        until(lambda: listens(self.jobs), "Beam's job server", self.alive)
        until(lambda: self.get("/overview")["taskmanagers"] == self.task_managers, "Flink's task managers", self.alive)
        for job in self.running():
            self.ask(f"/jobs/{job}?mode=cancel", "PATCH")
        until(lambda: not self.running(), "the end of earlier jobs")

    def start_job_server(self) -> None:
        """Start Beam's job server, or start it again, at its port."""
        log = f"-Dlog4j.configurationFile={self.folder / 'conf' / 'log4j.properties'}"
        words = ["java", "-Xmx512m", *_QUICK, *_OPENS, log, "-jar", str(JOB_SERVER)]
        words += ["--flink-master", f"127.0.0.1:{self.rest}", "--job-host", "127.0.0.1", "--job-port", str(self.jobs)]
        words += ["--artifact-port", "0", "--expansion-port", "0", "--artifacts-dir", str(self.folder / "artifacts")]
        self.processes["jobserver"] = self._popen("jobserver", words)

    def start_task_manager(self, number: int) -> None:
        """Start one more, or one again."""
        # heap = framework + task heap; direct = framework + task off-heap + network
        memory = ["-Xmx640m", "-XX:MaxDirectMemorySize=704m", "-XX:MaxMetaspaceSize=384m"]
        self._java(f"taskmanager-{number}", memory, "org.apache.flink.runtime.taskexecutor.TaskManagerRunner")

    def alive(self) -> bool:
        """Whether no process ended."""
        return all(process.poll() is None for process in self.processes.values())

    def kill(self, name: str) -> None:
        """SIGKILL one process."""
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def get(self, path: str) -> Any:
        """What the job manager's REST interface says."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.rest}{path}", timeout=5) as answer:
            return json.load(answer)

    def ask(self, path: str, method: str, **about: Any) -> Any:
        """Ask something of the job manager; gives its answer."""
        url, body = f"http://127.0.0.1:{self.rest}{path}", json.dumps(about).encode()
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 -- ours
            return json.loads(answer.read() or b"null")

    def savepoint(self) -> str:
        """Make a savepoint of the job that runs, which goes on; gives its path."""
        (job,) = self.running()
        asked = self.ask(f"/jobs/{job}/savepoints", "POST", **{"cancel-job": False})["request-id"]

        def made() -> dict[str, Any] | None:
            told = self.get(f"/jobs/{job}/savepoints/{asked}")
            return told["operation"] if told["status"]["id"] == "COMPLETED" else None

        return str(until(made, "a savepoint", self.alive)["location"])

    def running(self) -> list[str]:
        """Jobs that have not ended."""
        ended = {"FINISHED", "FAILED", "CANCELED"}
        return [job["id"] for job in self.get("/jobs")["jobs"] if job["status"] not in ended]

    def used(self) -> set[str]:
        """The task managers that the newest job ran on."""
        newest = max(self.get("/jobs/overview")["jobs"], key=lambda job: job["start-time"])["jid"]
        return {
            task["taskmanager-id"]
            for vertex in self.get(f"/jobs/{newest}")["vertices"]
            for task in self.get(f"/jobs/{newest}/vertices/{vertex['id']}")["subtasks"]
        }

    def flags(self, *environment: str) -> list[str]:
        """What `copydesk run` needs to use it; workers are in the driver's process unless said otherwise."""
        endpoints = [f"--job_endpoint=127.0.0.1:{self.jobs}", f"--flink_master=http://127.0.0.1:{self.rest}"]
        return ["--runner", "FlinkRunner", "--", *endpoints, *(environment or ("--environment_type=LOOPBACK",))]

    def stop(self) -> None:
        """End every process, whatever it does."""
        for process in self.processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        for process in self.processes.values():
            process.wait()
        self.processes.clear()

    def _java(self, name: str, memory: list[str], main: str) -> None:
        conf = self.folder / "conf"
        words = ["java", *memory, *_QUICK, *_OPENS, f"-Dlog4j.configurationFile={conf / 'log4j.properties'}"]
        words += ["-cp", f"{FOLDER / 'lib'}/*:{FOLDER / 'runner'}/*", main, "--configDir", str(conf)]
        self.processes[name] = self._popen(name, words)

    def _popen(self, name: str, words: list[str]) -> "subprocess.Popen[bytes]":
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(words, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, all different."""
    with contextlib.ExitStack() as open_ones:
        sockets = [open_ones.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def until(done: Callable[[], Any], what: str, alive: Callable[[], bool] = lambda: True, seconds: float = 240) -> Any:
    """Ask until it is so.

    Raises:
      TimeoutError: it never was.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError, ValueError, KeyError):
            found = done()
            if found:
                return found
        if not alive():
            raise TimeoutError(f"{what}: a process ended; see its log")
        time.sleep(0.1)
    raise TimeoutError(f"{what}: not within {seconds:.0f} s")


def listens(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        return True


@contextlib.contextmanager
def cluster(folder: Path, **settings: Any) -> Iterator[Cluster]:
    """A cluster for as long as the block lasts."""
    one = Cluster(folder, **settings)
    try:
        yield one.start()
    finally:
        one.stop()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    where = Path(sys.argv[1])
    shutil.rmtree(where, ignore_errors=True)
    with cluster(where) as running, contextlib.suppress(KeyboardInterrupt):
        sys.stdout.write(" ".join(running.flags()) + "\n")
        sys.stdout.flush()
        signal.pause()

"""What a failing store does to those who write to it: nothing is lost, nothing doubled, nobody waits long."""

import threading
import time
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from mlpsweep.errors import DataError, StorageError, hide_passwords, reason_of
from mlpsweep.tracking import queue as queue_module
from mlpsweep.tracking.points import Point
from mlpsweep.tracking.queue import RecordQueue, RunHandle, answered
from mlpsweep.tracking.run import Run
from mlpsweep.training.history import EpochRecord


class Store:
    """A store of points that may be away, or lose its answers, for the first few requests."""

    def __init__(self, n_refused: int = 0, n_unheard: int = 0) -> None:
        self.points: list[tuple[str, int]] = []
        self.requests: list[list[tuple[str, int]]] = []
        self.n_refused, self.n_unheard = n_refused, n_unheard
        self.ended: list[str] = []

    def _answer(self) -> None:
        if self.n_unheard:
            self.n_unheard -= 1
            refuse()

    def log_batch(self, run_id: str, metrics: list[object]) -> None:
        if self.n_refused:
            self.n_refused -= 1
            refuse()
        request = [(metric.key, metric.step) for metric in metrics]  # type: ignore[attr-defined]
        self.requests.append(request)
        self.points += request
        self._answer()

    def get_metric_history(self, run_id: str, name: str) -> list[object]:
        return [type("Point", (), {"step": step}) for known, step in self.points if known == name]

    def set_terminated(self, run_id: str, status: str, end_time: int) -> None:
        self.ended.append(status)


def refuse() -> None:
    raise MlflowException("API request failed") from ConnectionRefusedError(111, "Connection refused")


def points(n: int, first: int = 0) -> list[Point]:
    return [("loss", 0.5, first + step, 1000) for step in range(n)]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_module, "RETRY_S", (0.01, 0.02))


def made(store: Store) -> tuple[RecordQueue, RunHandle]:
    return RecordQueue(store, "http://host"), RunHandle("id")  # type: ignore[arg-type]


@pytest.mark.parametrize("n_refused", [0, 1, 3])
@pytest.mark.parametrize("n_unheard", [0, 1, 3])
def test_nothing_is_lost_or_doubled(n_refused: int, n_unheard: int, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(n_refused, n_unheard)
    queue, run = made(store)
    for first in range(0, 5000, 500):
        queue.put_points(run, points(500, first))
    assert queue.drain(5.0) == 0
    assert sorted(store.points) == [("loss", step) for step in range(5000)]
    said = capsys.readouterr().err
    assert said.count("warning: tracking.uri: http://host does not answer (Connection refused)") == bool(
        n_refused + n_unheard
    )


def test_nothing_more_is_sent_of_a_run_that_another_process_has_and_others_follow() -> None:
    store, taken, hold = Store(), list[str](), threading.Event()
    queue, left = made(store)
    other = RunHandle("other")
    queue.put(other, lambda: hold.wait(5.0) and None)
    queue.put_points(left, points(3))
    queue.put(left, lambda: taken.append("tags"))
    queue.put_points(other, points(2, 10))
    Run(store, left, queue).leave()  # type: ignore[arg-type]
    hold.set()
    assert queue.drain(5.0) == 0
    assert (store.points, taken) == ([("loss", 10), ("loss", 11)], [])
    assert queue._n_points == 0


def test_points_that_come_while_others_are_sent_are_sent_too(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store()
    queue, run = made(store)
    send = queue._send

    def send_and_let_another_come(task: object) -> None:
        send(task)  # type: ignore[arg-type]
        if len(store.points) == 1:
            queue.put_points(run, points(1, 1))

    monkeypatch.setattr(queue, "_send", send_and_let_another_come)
    queue.put_points(run, points(1))
    assert queue.drain(5.0) == 0
    assert store.points == [("loss", 0), ("loss", 1)]


def test_points_go_out_after_a_moment_though_nobody_waits_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_module, "PAUSE_S", 0.2)
    store = Store()
    queue, run = made(store)
    for step in range(3):
        queue.put_points(run, points(1, step))
        deadline = time.monotonic() + 10
        while len(store.points) <= step and time.monotonic() < deadline:
            time.sleep(0.01)
        assert store.points[step:] == [("loss", step)]


def test_records_keep_their_order() -> None:
    store, taken = Store(n_refused=2), list[str]()
    queue, run = made(store)
    queue.put(run, lambda: taken.append("tags"))
    queue.put_points(run, points(3))
    queue.put(run, lambda: taken.append(f"end after {len(store.points)}"))
    assert queue.drain(5.0) == 0
    assert taken == ["tags", "end after 3"]


def test_points_that_come_quickly_share_a_request_and_the_last_go_with_the_end() -> None:
    store = Store()
    queue, handle = made(store)
    run = Run(store, handle, queue)  # type: ignore[arg-type]
    for epoch in range(1, 8):
        run.log_epoch(
            EpochRecord(
                epoch=epoch,
                update=epoch,
                learning_rate=0.1,
                train_loss=1.0,
                train_penalty=0.0,
                train_accuracy=0.5,
                seconds=0.1,
                samples_per_s=1.0,
            )  # fmt: skip
        )
    run.end("FINISHED")
    assert len(store.requests) <= 2
    assert [step for name, step in store.points if name == "train/loss"] == list(range(1, 8))
    assert store.ended == ["FINISHED"]


def test_a_slow_store_delays_nobody_until_the_end() -> None:
    store = Store()
    queue, run = made(store)
    hold = threading.Event()
    queue.put(run, lambda: hold.wait(5.0) and None)
    started = time.monotonic()
    for step in range(1000):
        queue.put_points(run, points(1, step))
    assert time.monotonic() - started < 1.0
    hold.set()
    assert queue.drain(5.0) == 0
    assert len(store.points) == 1000


def test_a_store_that_stays_away_is_waited_for_so_long_and_then_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(queue_module, "DRAIN_S", 0.3)
    queue, run = made(Store(n_refused=10**9))
    queue.put_points(run, points(7))
    started = time.monotonic()
    assert queue.drain(gives_up=True, timeout_s=5.0) == 7
    queue.close()
    queue.close()
    assert time.monotonic() - started < 1.5
    assert "http://host lacks 7 records" in capsys.readouterr().err


def test_what_memory_has_no_room_for_is_read_from_the_folder_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_module, "MAX_WAITING", 10)
    store, hold = Store(), threading.Event()
    queue, run = made(store)
    queue.put(run, lambda: hold.wait(5.0) and None)
    queue.put_points(run, points(8))
    queue.put_points(run, points(8, 8))
    hold.set()
    queue.complete(run, lambda: points(16))
    assert queue.drain(5.0) == 0
    assert sorted(store.points) == [("loss", step) for step in range(16)]


def test_a_whole_run_is_not_asked_for_again() -> None:
    queue, run = made(Store())
    queue.put_points(run, points(3))
    queue.complete(run, lambda: pytest.fail("the folder was read"))
    assert queue.drain(5.0) == 0


def test_a_record_that_the_store_refuses_for_good_holds_up_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    store = Store()
    queue, run = made(store)

    def refused() -> None:
        raise MlflowException("Changing param values is not allowed", error_code=INVALID_PARAMETER_VALUE)

    queue.put(run, refused)
    queue.put_points(run, points(2))
    assert queue.drain(5.0) == 0
    assert len(store.points) == 2
    assert "refuses a record (Changing param values" in capsys.readouterr().err


CROWDED = [
    "(sqlite3.OperationalError) database is locked",
    "(sqlite3.IntegrityError) UNIQUE constraint failed: datasets.experiment_id, datasets.name, datasets.digest",
    'duplicate key value violates unique constraint "dataset_pk"',
]


@pytest.mark.parametrize("message", CROWDED)
@pytest.mark.parametrize(("n_failures", "n_told"), [(1, 0), (2, 0), (3, 1)])
def test_writers_that_meet_are_no_reason_to_warn(
    message: str, n_failures: int, n_told: int, capsys: pytest.CaptureFixture[str]
) -> None:
    queue, run = made(Store())
    left = [MlflowException(message)] * n_failures

    def crowded() -> None:
        if left:
            raise left.pop()

    queue.put(run, crowded)
    assert (queue.drain(5.0), left) == (0, [])
    assert capsys.readouterr().err.count("warning:") == n_told


def test_a_folder_that_another_worker_has_begun_anew_holds_up_nothing() -> None:
    store = Store(n_refused=1)
    queue, run = made(store)

    def read() -> list[Point]:
        raise DataError("history.csv is missing")

    queue.put_points(run, points(2))
    queue.complete(run, read)
    queue.put_points(run, points(2, 10))
    assert queue.drain(5.0) == 0
    assert store.points == [("loss", step) for step in (0, 1, 10, 11)]


def test_a_file_that_was_removed_meanwhile_holds_up_nothing_and_the_run_is_not_whole(tmp_path: Path) -> None:
    kept, gone = tmp_path / "kept.csv", tmp_path / "gone.csv"
    kept.touch()
    gone.touch()
    sent, hold = list[str](), threading.Event()
    store = Store()
    store.log_artifact = lambda run_id, file, folder: sent.append(Path(file).read_text() or file)  # type: ignore[attr-defined]
    store.set_tag = lambda run_id, name, value: sent.append(name)  # type: ignore[attr-defined]
    queue, handle = made(store)
    run = Run(store, handle, queue)  # type: ignore[arg-type]
    queue.put(handle, lambda: hold.wait(5.0) and None)
    run.log_files([kept, gone], tag="outputs")
    run.log_files([kept], tag="all")
    gone.unlink()
    hold.set()
    assert queue.drain(5.0) == 0
    assert sent == [str(kept), str(kept), "all"]


def test_a_bug_of_ours_is_raised_where_the_user_looks() -> None:
    queue, run = made(Store())
    queue.put(run, lambda: 1 + "1")  # type: ignore[operator]
    with pytest.raises(TypeError, match="unsupported"):
        queue.drain(5.0)


def test_a_question_without_an_answer_is_a_storage_error() -> None:
    with (
        pytest.raises(StorageError, match=r"tracking.uri: http://host: Connection refused; expected a store"),
        answered("http://host"),
    ):
        refuse()


def test_our_own_storage_error_passes_as_it_is() -> None:
    with pytest.raises(StorageError, match=r"^mine$"), answered("http://host"):
        raise StorageError("mine")


@pytest.mark.parametrize(
    ("error", "reason"),
    [(MlflowException("one\ntwo"), "one"), (TimeoutError(), "TimeoutError"), (OSError("at http://a:b@c/d"), "at http://***@c/d")],
    ids=["first line", "no words", "no password"],
)  # fmt: skip
def test_the_reason_is_one_line_fit_to_be_shown(error: Exception, reason: str) -> None:
    assert reason_of(error) == reason


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://me:s3cr3t@host/x", "http://***@host/x"),
        ("http://me:s3/c@r3t@host, http://you:t00@host", "http://***@host, http://***@host"),
        ("mysql+pymysql://me@host", "mysql+pymysql://***@host"),
        ("http://host and a@b", "http://host and a@b"),
    ],
)
def test_users_and_passwords_are_blotted_out(text: str, shown: str) -> None:
    assert hide_passwords(text) == shown

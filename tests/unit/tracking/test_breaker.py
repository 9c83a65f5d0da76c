"""What a failing store does to those who write to it, and to those who ask it."""

import pytest
from mlflow.exceptions import MlflowException

from mlpsweep.errors import StorageError, hide_passwords, reason_of
from mlpsweep.tracking import breaker
from mlpsweep.tracking.breaker import N_TRIES, PATIENCE, CircuitBreaker, answered


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(breaker, "time", clock)
    return clock


def refuse() -> None:
    raise MlflowException("API request failed") from ConnectionRefusedError(111, "Connection refused")


def test_a_failed_write_is_told_once_and_stops_nothing(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    writer = CircuitBreaker("http://host")
    assert [writer.write(refuse), writer.write(refuse)] == [False, False]
    assert capsys.readouterr().err == (
        "warning: tracking.uri: http://host does not take records any more (Connection refused). Nothing "
        "stops for it: the output folder is the record, of which MLflow may now lack a part.\n"
    )


def test_a_store_is_left_alone_in_proportion_to_the_time_its_failure_took(clock: Clock) -> None:
    writer, tried = CircuitBreaker("http://host"), []

    def hang() -> None:
        tried.append(clock.now)
        clock.now += 3.0
        refuse()

    writer.write(hang)
    clock.now += 3.0 * PATIENCE - 0.1
    assert not writer.write(hang)
    clock.now += 0.2
    assert writer.write(lambda: None)
    assert tried == [1000.0]


def test_the_end_of_a_run_is_tried_while_the_store_is_left_alone(clock: Clock) -> None:
    writer = CircuitBreaker("http://host", resumes_at=clock.now + 60.0)
    assert not writer.write(lambda: None)
    assert writer.write(lambda: None, is_end=True)


@pytest.mark.parametrize("n_locked", range(N_TRIES + 1))
def test_a_locked_file_is_waited_for(clock: Clock, capsys: pytest.CaptureFixture[str], n_locked: int) -> None:
    answers = [MlflowException("(sqlite3.OperationalError) database is locked"), None]
    tried = []

    def answer() -> None:
        tried.append(answers[len(tried) >= n_locked])
        if tried[-1]:
            raise tried[-1]

    is_kept = n_locked < N_TRIES
    assert CircuitBreaker("sqlite:///mlflow.db").write(answer) == is_kept
    assert len(tried) == min(n_locked + 1, N_TRIES)
    assert ("database is locked" in capsys.readouterr().err) == (not is_kept)


def test_a_bug_of_ours_is_not_an_outage() -> None:
    with pytest.raises(TypeError, match="unsupported"):
        CircuitBreaker("http://host").write(lambda: 1 + "1")  # type: ignore[operator]


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

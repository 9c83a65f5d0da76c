"""Points of metrics: an epoch's at the epoch, a batch's at its update, the same from the training and its folder."""

from pathlib import Path

from mlpsweep.tracking.points import points_of, recorded_points
from mlpsweep.training.folder import TrainingFolder
from mlpsweep.training.history import BatchRecord, EpochRecord, History

MEASURED = {"validation_loss": 0.25, "validation_accuracy": 0.75}
RECORDS = tuple(
    EpochRecord(
        epoch=epoch,
        update=10 * epoch,
        learning_rate=0.1,
        train_loss=1.0 / epoch,
        train_penalty=0.0,
        train_accuracy=0.5,
        batches=(
            BatchRecord(update=10 * epoch - 3, loss=0.5, accuracy=0.25),
            BatchRecord(update=10 * epoch, loss=0.125, accuracy=1.0, **MEASURED),
        ),
        **MEASURED,
    )
    for epoch in (1, 2)
)


def test_an_epochs_points_are_at_the_epoch_and_a_batchs_at_its_update() -> None:
    points = points_of(RECORDS[1], 1234)
    assert {at for *_, at in points} == {1234}
    assert [(name, value, step) for name, value, step, _ in points if name.endswith("loss")] == [
        ("train/loss", 0.5, 2),
        ("validation/loss", 0.25, 2),
        ("batch/loss", 0.5, 17),
        ("batch/loss", 0.125, 20),
        ("batch/validation/loss", 0.25, 20),
    ]


def test_a_folder_records_the_points_that_the_training_logged(tmp_path: Path) -> None:
    folder = TrainingFolder(tmp_path)
    folder.save_history(History(RECORDS))
    logged = [point[:3] for record in RECORDS for point in points_of(record, 0)]
    assert sorted(point[:3] for point in recorded_points(folder)) == sorted(logged)

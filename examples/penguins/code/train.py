"""Learns to tell three species of penguins apart: softmax regression, in NumPy.

Everything outside this file is found by name: the table's path comes as an argument that the job file fills in, the
database is read from the binding directory, and what is written to $TIELINE_OUTPUTS is kept.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from plot import scatter_plot

SEED = 2020
TEST_SHARE = 0.25

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


def binding(connection: str, entry: str) -> str:
    """One entry of a connection, as the job finds it: $SERVICE_BINDING_ROOT/<connection>/<entry>."""
    return Path(os.environ["SERVICE_BINDING_ROOT"], connection, entry).read_text().strip()


@dataclass(frozen=True)
class Table:
    """The rows that have every feature. ``labels`` are indices into ``species``."""

    values: Floats
    labels: Labels
    species: list[str]
    dropped: int


def read_table(path: Path, features: list[str]) -> Table:
    """The features of all penguins; rows in which one is missing (NA) are left out."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    unknown = [name for name in features if name not in rows[0]]
    if unknown:
        raise SystemExit(f"{path} has no column {', '.join(unknown)}; it has {', '.join(rows[0])}")
    whole = [row for row in rows if all(row[name] != "NA" for name in features)]
    species = sorted({row["species"] for row in whole})
    values = np.array([[float(row[name]) for name in features] for row in whole])
    labels = np.array([species.index(row["species"]) for row in whole])
    return Table(values, labels, species, dropped=len(rows) - len(whole))


def split(count: int) -> tuple[Labels, Labels]:
    """Indices of the part to learn from and of the part to test on, the same ones every time."""
    order = np.random.default_rng(SEED).permutation(count)
    cut = round(count * TEST_SHARE)
    return order[cut:], order[:cut]


@dataclass
class Classifier:
    """Softmax regression on standardised features."""

    mean: Floats
    scale: Floats
    weights: Floats
    bias: Floats

    @classmethod
    def untrained(cls, values: Floats, classes: int) -> Classifier:
        shape = (values.shape[1], classes)
        return cls(values.mean(axis=0), values.std(axis=0), np.zeros(shape), np.zeros(classes))

    def probabilities(self, values: Floats) -> Floats:
        scores = (values - self.mean) / self.scale @ self.weights + self.bias
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    def predict(self, values: Floats) -> Labels:
        return self.probabilities(values).argmax(axis=1)

    def accuracy(self, values: Floats, labels: Labels) -> float:
        return float((self.predict(values) == labels).mean())

    def step(self, values: Floats, labels: Labels, lr: float) -> float:
        """One step of gradient descent on the mean cross-entropy; the loss before it."""
        found = self.probabilities(values)
        wanted = np.eye(len(self.bias))[labels]
        slope = (found - wanted) / len(labels)
        self.weights -= lr * ((values - self.mean) / self.scale).T @ slope
        self.bias -= lr * slope.sum(axis=0)
        return float(-np.log(found[np.arange(len(labels)), labels]).mean())


def train(values: Floats, labels: Labels, epochs: int, lr: float) -> Classifier:
    """A trained classifier; says how it goes ten times on the way."""
    model = Classifier.untrained(values, classes=labels.max() + 1)
    for epoch in range(1, epochs + 1):
        loss = model.step(values, labels, lr)
        if epoch == 1 or epoch == epochs or epoch % max(epochs // 8, 1) == 0:
            print(f"epoch {epoch:4d}/{epochs}  loss {loss:.4f}  accuracy {model.accuracy(values, labels):.3f}")
    return model


def record(database: Path, row: tuple[object, ...]) -> int:
    """Add one row to the results; how many there are now."""
    with closing(sqlite3.connect(database, timeout=30)) as connection, connection:
        connection.execute("INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?)", row)
        return int(connection.execute("SELECT count(*) FROM results").fetchone()[0])


def species_table(database: Path) -> dict[str, tuple[str, str]]:
    """The scientific name and the colour of each species."""
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT name, scientific_name, colour FROM species")
        return {name: (scientific_name, colour) for name, scientific_name, colour in rows}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--lr", type=float, required=True)
    parser.add_argument("--features", type=lambda text: text.split(","), required=True)
    return parser.parse_args()


def main() -> None:
    args = arguments()
    outputs = Path(os.environ["TIELINE_OUTPUTS"])
    database = Path(binding("penguins-db", "path"))

    table = read_table(args.table, args.features)
    learn, test = split(len(table.labels))
    print(f"{len(table.labels)} penguins ({table.dropped} without all values left out), "
          f"{len(learn)} to learn from, {len(test)} to test on")  # fmt: skip

    model = train(table.values[learn], table.labels[learn], args.epochs, args.lr)
    accuracy = model.accuracy(table.values[test], table.labels[test])
    print(f"accuracy on the {len(test)} penguins it has not seen: {accuracy:.3f}")

    np.savez(outputs / "model.npz", **vars(model), species=table.species, features=args.features)
    metrics = {"accuracy": accuracy, "train_accuracy": model.accuracy(table.values[learn], table.labels[learn]),
               "penguins": len(table.labels), "dropped": table.dropped, "epochs": args.epochs, "lr": args.lr,
               "features": args.features}  # fmt: skip
    (outputs / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    about = species_table(database)
    plot = scatter_plot(
        table.values, table.labels, model.predict, args.features, [(name, *about[name]) for name in table.species]
    )
    (outputs / "penguins.svg").write_text(plot)

    run = os.environ["TIELINE_RUN_UUID"]
    row = (run, datetime.now(UTC).isoformat(), ",".join(args.features), args.epochs, args.lr, accuracy)
    print(f"wrote model.npz, metrics.json, penguins.svg; {record(database, row)} result(s) in the database")


if __name__ == "__main__":
    main()

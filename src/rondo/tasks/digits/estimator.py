"""`DigitClassifier`: classes of images, as a scikit-learn estimator; what `rondo.load` makes of such a model, too."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from rondo.data.files import Paths
from rondo.data.images import ImageFormat, as_images, iter_images, read_images
from rondo.data.labelled import Labelled
from rondo.errors import UsageError
from rondo.evaluation.pixels import NearestImage, PixelRegression
from rondo.evaluation.rivals import Majority
from rondo.tasks.answers import Answer
from rondo.tasks.classification.answering import answers, checked_items, checked_rows, evaluation, saved_reading
from rondo.tasks.classification.estimator import ClassifierEstimator
from rondo.tasks.digits.encoder import ImageEncoder
from rondo.tasks.digits.options import DigitOptions
from rondo.tasks.options import from_flat
from rondo.tasks.parameters import with_parameters
from rondo.tasks.places import named

SAME_COLUMNS = ("values", "label_column", "group_column", "resize")
"""What of how the training's files were read holds for others, unless something else is said."""


@with_parameters(DigitOptions)
class DigitClassifier(ClassifierEstimator):
    """Classifies images with a recurrent network that reads them by rows, by columns or pixel by pixel.

    Images are an array (N, height, width), or square ones as rows of their pixels, (N, pixels); `fit` takes a file of
    them, too, or a folder of pictures with one folder for each class, without ``y``. Works as scikit-learn's
    classifiers do: in pipelines, in cross-validation, in searches. The same parameters are the flags of
    ``rondo train digits``.

    >>> classifier = rondo.DigitClassifier(epochs=20).fit(images, digits)
    >>> classifier.predict(others), classifier.predict_proba(others)
    >>> classifier.save("my-model")  # rondo.load("my-model") gives it back

    After `fit`: ``classes_``, ``history_`` (losses and scores over the training), ``model_`` (the network and
    the order in which it reads).
    """

    encoder_class = ImageEncoder
    home_of_learning = "rondo.tasks.digits.task:learn_digits"
    home_of_words = "rondo.tasks.digits.report:WORDS"

    def _items(self, X: Any, y: Any = None, groups: Any = None, *, fitting: bool = False) -> Labelled:
        data = as_images(X, y, groups)
        return data if fitting or not hasattr(self, "model_") else checked_items(self.model_, data)

    def _read(self, source: Any, *, labelled: bool) -> Labelled:
        return read_images(source, self.reading() if hasattr(self, "model_") else None, labelled=labelled)

    def reading(self, **given: Any) -> ImageFormat:
        """How files are read: as in training, where nothing else is ``given``."""
        return saved_reading(self.model_, ImageFormat, SAME_COLUMNS, given)

    def answers(
        self, source: str | Path | TextIO, reading: ImageFormat | None = None, *, at_once: int | None = None
    ) -> Iterator[Answer]:
        """The class of each image of a file or of a folder; see `rondo predict`."""
        rows = iter_images(source, reading or self.reading())
        return answers(self.model_, checked_rows(self.model_, rows), at_once=at_once)

    def evaluate(self, paths: Paths = (), *, reading: ImageFormat | None = None) -> dict[str, Any]:
        """Score the model on images in files, beside the baselines that were fitted when it was trained.

        A model of scikit-learn's digits that is given no files is scored on those that it held out.
        """
        started = time.perf_counter()
        data = read_images(paths, reading or self.reading()) if paths else self._held_out()
        rivals = (Majority, PixelRegression, NearestImage)
        return evaluation(self.model_, checked_items(self.model_, data), rivals, started=started)

    def _held_out(self) -> Labelled:
        provenance = self.model_.config.get("provenance")
        if not isinstance(provenance, Mapping) or provenance.get("data"):
            raise UsageError(
                "name a file of images to score this model on: it did not learn from scikit-learn's digits"
            )
        saved = {name: value for part in self.model_.config["options"].values() for name, value in part.items()}
        parts = named("rondo.tasks.digits.task:read_parts")((), from_flat(DigitOptions, saved))
        return parts.valid if parts.test is None else parts.test

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        return tags

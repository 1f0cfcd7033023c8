"""Series along time: from frames and files to flat arrays on an even grid, with covariates and a calendar."""

from rondo.data.series.clock import FEATURES, Clock, calendar, check_features, features_for
from rondo.data.series.collection import Columns, SeriesSet
from rondo.data.series.frames import from_frame
from rondo.data.series.frequency import Frequency
from rondo.data.series.missing import impute, last_known
from rondo.data.series.options import FrameFormat

__all__ = [
    "FEATURES", "Clock", "Columns", "FrameFormat", "Frequency", "SeriesSet", "calendar", "check_features",
    "features_for", "from_frame", "impute", "last_known",
]  # fmt: skip

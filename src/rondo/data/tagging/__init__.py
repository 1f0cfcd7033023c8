"""Tagged sentences: schemes of tags, spans, and the files that they stand in."""

from rondo.data.tagging.detection import UnclearScheme, detect_scheme, mended_tags
from rondo.data.tagging.options import TokenFormat
from rondo.data.tagging.plain import Expected
from rondo.data.tagging.reading import iter_parts, iter_sentences, read_sentences, write_part
from rondo.data.tagging.schemes import (
    SCHEMES,
    Scheme,
    Span,
    allowed_transitions,
    check_tags,
    convert_tags,
    first_problem,
    get_scheme,
    read_spans,
    tag_set,
    write_tags,
)
from rondo.data.tagging.sentences import Sentence, Verbatim, as_sentences, cut, spans_with_text

__all__ = [
    "SCHEMES",
    "Expected",
    "Scheme",
    "Sentence",
    "Span",
    "TokenFormat",
    "UnclearScheme",
    "Verbatim",
    "allowed_transitions",
    "as_sentences",
    "check_tags",
    "convert_tags",
    "cut",
    "detect_scheme",
    "first_problem",
    "get_scheme",
    "iter_parts",
    "iter_sentences",
    "mended_tags",
    "read_sentences",
    "read_spans",
    "spans_with_text",
    "tag_set",
    "write_part",
    "write_tags",
]

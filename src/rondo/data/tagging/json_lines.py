"""JSON lines: a sentence a line, either tokens with tags, or a text with spans.

Tokens: ``{"tokens": ["Ada", "came"], "tags": ["B-PER", "O"]}``. Spans by characters, the end not included:
``{"text": "Ada came", "spans": [{"start": 0, "end": 3, "label": "PER"}]}``, or ``[0, 3, "PER"]`` for each.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from rondo.data.labelled import Origin
from rondo.data.tagging.options import TAG_NAMES, TOKEN_NAMES, TokenFormat
from rondo.data.tagging.schemes import IOB2, Scheme, write_tags
from rondo.data.tagging.sentences import Sentence, Verbatim, check_lengths, cut, spans_with_text, tokens_of_spans
from rondo.errors import DataError, nearest

_KINDS = ("label", "type", "tag", "kind", "entity")


class Object(NamedTuple):
    """What a sentence from JSON is written back with."""

    content: Mapping[str, Any]
    spans: bool
    """Whether it has a text and spans."""
    tag_name: str | None
    """Where its tags or spans stand, if it has any."""


def read_json_lines(
    lines: Iterable[str],
    name: str,
    options: TokenFormat,
    *,
    tagged: bool | None,
    keep: bool,
    group_column: str | None = None,
) -> Iterator[Sentence | Verbatim]:
    """The sentences of a file, one a line; ``tagged`` says whether tags must be there, None means if they are.

    Spans become tags of IOB2.
    """
    for number, line in enumerate(lines, 1):
        if line.strip():
            origin = Origin(name, number)
            content = _parsed(line, origin)
            sentence = _sentence(content, origin, options, tagged, keep)
            yield sentence if group_column is None else replace(sentence, group=_group(content, group_column, origin))
        elif keep:
            yield Verbatim(line)


def write_json_line(sentence: Sentence, tags: Sequence[str], *, scheme: Scheme | None = None) -> str:
    """A line with the sentence and other tags, or other spans where it has a text; the rest is as it was."""
    source = sentence.source if isinstance(sentence.source, Object) else _object(sentence)
    content = dict(source.content)
    if source.spans:
        spans = spans_with_text(sentence, tags, scheme=scheme)
        old = content.get(source.tag_name) if source.tag_name else None
        lists = bool(old) and isinstance(old, list) and isinstance(old[0], list)
        content[source.tag_name or "spans"] = [[s["start"], s["end"], s["label"]] for s in spans] if lists else spans
    else:
        content[source.tag_name or "tags"] = list(tags)
    return json.dumps(content, ensure_ascii=False) + "\n"


def _object(sentence: Sentence) -> Object:
    """For a sentence that is not from JSON."""
    if sentence.text is not None:
        return Object({"text": sentence.text}, True, None)
    return Object({"tokens": list(sentence.tokens)}, False, None)


def _sentence(
    content: dict[str, Any], origin: Origin, options: TokenFormat, tagged: bool | None, keep: bool
) -> Sentence:
    token_name = _find(content, options.token_column, TOKEN_NAMES, origin, "token-column")
    if token_name is None:
        known = nearest("tokens", [str(key) for key in content])
        raise DataError(f'{origin}: expected "tokens", a list of texts, or "text"; name it with --token-column{known}')
    tag_name = None
    if tagged is not False:
        tag_name = _find(content, options.tag_column, TAG_NAMES, origin, "tag-column")
        if tag_name is None and tagged:
            raise DataError(
                f'{origin}: expected "tags", a list of names, or "spans" of a text; name it with --tag-column'
            )
    given, marks = content[token_name], content.get(tag_name or "")
    source = Object(content, isinstance(given, str), tag_name) if keep else None
    if isinstance(given, str):
        tokens, places = cut(given, options.unit or "words")
        tags = None
        if tag_name is not None:
            spans = [_span(item, origin) for item in _listed(marks, origin, tag_name)]
            of_tokens = tokens_of_spans(spans, places, given, origin, misaligned=options.misaligned)
            tags = tuple(write_tags(of_tokens, len(tokens), IOB2))
        return Sentence(tokens, tags, origin, text=given, places=places, source=source)
    tokens = _strings(given, origin, token_name)
    tags = None if tag_name is None else _strings(marks, origin, tag_name)
    check_lengths(tokens, tags, origin)
    return Sentence(tokens, tags, origin, source=source)


def _group(content: Mapping[str, Any], name: str, origin: Origin) -> str | int:
    """What a sentence belongs to."""
    _find(content, name, (), origin, "group-column")
    found = content[name]
    if not isinstance(found, str | int):
        raise DataError(f"{origin}: '{name}' (--group-column) is a name or a number, not {json.dumps(found)[:40]}")
    return found


def _find(
    content: Mapping[str, Any], asked: str | None, usual: Sequence[str], origin: Origin, option: str
) -> str | None:
    if asked is None:
        return next((name for name in usual if name in content), None)
    if asked not in content:
        raise DataError(f"{origin}: there is no '{asked}' (--{option}){nearest(asked, [str(key) for key in content])}")
    return asked


def _parsed(line: str, origin: Origin) -> dict[str, Any]:
    try:
        content = json.loads(line)
    except ValueError as error:
        raise DataError(f"{origin}: this is not JSON ({error})") from None
    except RecursionError:
        raise DataError(f"{origin}: JSON nested too deeply") from None
    if not isinstance(content, dict):
        raise DataError(f'{origin}: expected an object, such as {{"tokens": [...], "tags": [...]}}')
    return content


def _listed(value: Any, origin: Origin, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise DataError(f"{origin}: '{name}' is a list, not {json.dumps(value)[:40]}")
    return value


def _strings(value: Any, origin: Origin, name: str) -> tuple[str, ...]:
    for item in _listed(value, origin, name):
        if not isinstance(item, str) or not item:
            hint = "; tags are names: write those the numbers stand for" if isinstance(item, int) else ""
            raise DataError(
                f"{origin}: '{name}' is a list of texts that are not empty, not of {json.dumps(item)[:40]}{hint}"
            )
    return tuple(value)


def _span(item: Any, origin: Origin) -> tuple[int, int, str]:
    if isinstance(item, dict):
        item = [item.get("start"), item.get("end"), next((item[kind] for kind in _KINDS if kind in item), None)]
    if isinstance(item, list) and len(item) == 3:
        start, end, kind = item
        if type(start) is int and type(end) is int and isinstance(kind, str):
            return start, end, kind
    raise DataError(
        f'{origin}: a span is {{"start": 0, "end": 3, "label": "PER"}} or [0, 3, "PER"], not {json.dumps(item)[:60]}'
    )

"""CoQA: a JSON file of stories, each with questions, one answer to each, and in the dev split three answers more."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from minilm.datasets.readers.malformed import malformed, read_json, read_text
from minilm.datasets.records import Conversation, Turn

BETWEEN = re.compile(r"[\s,]*")
"""What separates the stories of the file."""


def conversations(path: Path) -> list[Conversation]:
    """The conversations of a file.

    Raises:
        DataError: the file is not JSON, or a conversation lacks its story, a question or an answer.
    """
    text = read_text(path)
    content = read_json(path, None, 1, text)
    stories = content.get("data") if isinstance(content, dict) else None
    if not isinstance(stories, list):
        raise malformed(path, None, 1, 'expected an object with a list of stories under the key "data"')
    return [conversation(path, text, record, story) for record, story in enumerate(stories, start=1)]


def conversation(path: Path, text: str, record: int, story: dict[str, Any]) -> Conversation:
    """One story as a record."""
    try:
        answers = [story["answers"], *story.get("additional_answers", {}).values()]
        turns = [turn(question, index, answers) for index, question in enumerate(story["questions"])]
        return Conversation(text_of(story, "story"), tuple(turns), text_of(story, "source"))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        what = f"not a CoQA story ({type(error).__name__}: {error})"
        raise malformed(path, record, line_of(text, record), what) from error


def turn(question: dict[str, Any], index: int, answers: list[list[dict[str, Any]]]) -> Turn:
    """The question at an index, with what each annotator answered; each list of answers must tell the same turn."""
    given = [annotator[index] for annotator in answers]
    if any(answer["turn_id"] != question["turn_id"] for answer in given):
        raise ValueError(
            f"the answers at place {index + 1} belong to another turn than {question['turn_id']}"
        )
    return Turn(text_of(question, "input_text"), tuple(text_of(answer, "input_text") for answer in given))


def text_of(content: dict[str, Any], key: str) -> str:
    """The text under a key; TypeError if it is something else, KeyError if there is none."""
    text = content[key]
    if not isinstance(text, str):
        raise TypeError(f"{key} should be a text, not {text!r:.40}")
    return text


def _after_gap(text: str, at: int) -> int:
    """The first place from `at` on that is neither space nor comma."""
    gap = BETWEEN.match(text, at)
    return gap.end() if gap else at


def line_of(text: str, record: int) -> int:
    """The line where the story of that number starts, 1 if it is unknown. (The json module keeps no lines; only error messages need them.)"""
    decoder, start = json.JSONDecoder(), 0
    try:
        end = text.index("[", text.index('"data"')) + 1
        for _ in range(record):
            start = _after_gap(text, end)
            _, end = decoder.raw_decode(text, start)
    except ValueError:  # the key occurs elsewhere in the file too
        return 1
    return text.count("\n", 0, start) + 1

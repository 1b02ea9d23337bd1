"""Every mistake in a grammar file is one error that names the line, and the format says what it means."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from minilm.storyworld import GrammarError, StoryWorld
from minilm.storyworld.document_loading import load_phrases, load_relations
from minilm.storyworld.world import WORLDS
from minilm.storyworld.yaml_nodes import read

MINI = Path(__file__).with_name("mini.yaml").read_text()

# (what is replaced, by what, a piece of the message); the error must name the line of the first replaced text,
# or the line on which the piece after "@" stands.
FAULTS = {
    "unreachable scene": ("next: [found, gone]", "next: found", "'gone' cannot be reached", "      gone:"),
    "unknown scene": ("next: [found, gone]", "next: [found, gonne]", "no scene 'gonne'", None),
    "cycle": (
        "        next: [search]",
        "        next: [search, opening]",
        "round for ever: opening -> loss",
        "      loss:",
    ),
    "no ending": ("        ending: sad\n", "", "needs an 'ending:'", "      gone:"),
    "ending and next": (
        "        ending: happy\n",
        "        ending: happy\n        next: gone\n",
        "only one",
        "      found:",
    ),
    "negative weight": (
        "agreement: he, weight: 2",
        "agreement: he, weight: -2",
        "not negative, not -2",
        None,
    ),
    "weight is no number": ("    weight: 2", "    weight: two", "must be a number, not 'two'", None),
    "weight is not finite": ("    weight: 2", "    weight: .nan", "must be a number", None),
    "weights sum to zero": ("{loss: 3, search: 1}", "{loss: 0, search: 0}", "sum to zero", None),
    "filler weights sum to zero": ("place: [park, parking lot,", "place: [", "sum to zero", None),
    "slot never bound": ("  place: [", "  food: [jam]\n  place: [", "'food' is never bound", None),
    "form before binding": (
        "- One day, {hero}",
        "- One day, {Hero.he} met {hero}",
        "not yet mentioned {hero}",
        None,
    ),
    "form bound on some paths only": (
        "was sad because {hero.his} {object} ",
        "was sad because {object.he} ",
        "not yet mentioned {object}",
        None,
    ),
    "fact before binding": (
        'facts: ["{hero} | has',
        'facts: ["{place} | has',
        "a fact names {place}",
        '"{Hero} had',
    ),
    "fact is no triple": (
        '["{hero} | has | {object}"]',
        '["{hero} has {object}"]',
        "subject | relation | object",
        None,
    ),
    "unknown slot": ("{hero} let go", "{heroine} let go", "unknown slot 'heroine'", None),
    "unknown slot in cast": ("cast: {hero:", "cast: {heroes:", "unknown slot 'heroes'", None),
    "unknown tag": ("cast: {object: toy}", "cast: {object: toys}", "tagged 'toys'", None),
    "unknown filler in cast": ("{hero: [Tom, Mia]}", "{hero: [Tom, Meg]}", "'Meg' is not a filler", None),
    "unknown shared list": ("use: weather", "use: wether", "no shared list 'wether'", None),
    "unknown agreement": ("{text: Mia, agreement: she}", "{text: Mia, agreement: her}", "class 'her'", None),
    "unknown key": ("    start: opening", "    begin: opening", "unknown key 'begin'", None),
    "unknown start": ("    start: opening", "    start: first", "no scene 'first'", None),
    "missing form": ("{object.colour}", "{object.size}", "lacks the form 'size'", None),
    "form of a free word": ("home {adverb}", "home {adverb.short}", "free word", None),
    "fused words": ("the {object.short} in", "the {object.short}s in", "run together", None),
    "small letter": ("One day, {hero}", "one day, {hero}", "capital must follow", None),
    "small slot after a full stop": (
        "{Hero.he} loved",
        "{hero.he} loved",
        "capital must follow",
        '"{Hero} had',
    ),
    "no full stop": ("never saw the {object} again.", "never saw the {object} again", "must end with", None),
    "open bracket": ("[warm|cold]", "[warm|cold", "without its ']'", None),
    "stray bracket": ("[warm|cold]", "warm|cold]", "without its '['", None),
    "bracket with one way": ("[warm|cold]", "[warm]", "two alternatives", None),
    "space at an alternative's end": ("[warm|cold] day", "[warm |]day", "ends with a space", None),
    "two spaces": ("One day, {hero}", "One  day, {hero}", "single spaces", None),
    "two spaces meet": ("a [warm|cold] day", "a [ warm|cold] day", "two spaces meet", None),
    "empty beginning": ("- It was", "- '[Then|] it' #", "begins with an alternative that may be empty", None),
    "odd braces": ("{a object} to", "{the object} to", "'{the object}' is not one of", None),
    "keyword in a filler": ("{text: red kite, tags", "{text: because kite, tags", "occurs in a filler", None),
    "keyword nowhere": (
        "[however, because, suddenly]",
        "[however, because, nearly]",
        "'nearly' occurs in no",
        None,
    ),
    "keyword twice": ("[however, because,", "[however, however,", "twice", None),
    "keyword with a capital": ("[however, because,", "[However, because,", "lower-case word", None),
    "filler twice": ("{text: Mina,", "{text: Mia,", "'Mia' fills 'hero' twice", None),
    "name used twice": ("  mood: [", "  place: [", "is a slot already", None),
    "key twice": ("      gone:", "      found:", "twice", None),
    "empty list": (
        'templates: ["At last {hero} found {object.him} and went home {adverb}."]',
        "templates: []",
        "at least one",
        None,
    ),
    "no text": ("{text: Mia, agreement: she}", "{agreement: she}", "'text:' is missing", None),
    "no YAML": ("keywords: [however", "keywords: [[however", "not valid YAML", "agreement:"),
}


DOCUMENTS = Path(__file__).with_name("documents.yaml").read_text()

DOCUMENT_FAULTS = {
    "unknown element": ("{facts} ->", "{fact} ->", "unknown element 'fact'"),
    "no story": ("Use {keyword}:\\n{story}", "Use {keyword}:", "has {story} once"),
    "element twice": ('"{story} ({ending})"', '"{ending} {story} ({ending})"', "at most once"),
    "questions first": (
        '"{story} {questions}", each: "\\"',
        '"{questions} {story}", each: "\\"',
        "can only follow",
    ),
    "no each": (', each: "- {relation} {object}"', "", "'each:' must say"),
    "no answer": ("{question}\\nA: {answer}", "{question}", "one {answer} is expected"),
    "no such group": ("group: short, notations", "group: long, notations", "no plot is of the group 'long'"),
    "no length": ("lengths: {1: 1, 2: 3}", "lengths: {0: 1}", "a number of 1 or more or 'whole'"),
    "weights of turns": ("turns: {1: 1, 2: 1}", "turns: {1: 0}", "sum to zero"),
    "unknown key": ("few asked: {group", "few asked: {groups: a, group", "unknown key 'groups'"),
    "marks run together": ('"{story} ({ending})"', '"({story}) {ending}"', "marks run together"),
    "brackets between": ('between: "\\n+\\n"', 'between: "[a|b]"', "must be plain"),
}


@pytest.mark.parametrize("fault", DOCUMENT_FAULTS)
def test_errors_in_documents_name_the_line(fault: str) -> None:
    old, new, message = DOCUMENT_FAULTS[fault]
    assert old in DOCUMENTS, old
    with pytest.raises(GrammarError) as raised:
        StoryWorld.from_text(DOCUMENTS.replace(old, new, 1))
    assert message in str(raised.value)
    assert raised.value.line == line_of(DOCUMENTS, old), str(raised.value)


def test_a_story_that_may_stop_before_it_tells_a_fact() -> None:
    broken = DOCUMENTS.replace(', facts: ["{hero} | had | kite", "{thing} | has | {hero}"]', "")
    with pytest.raises(
        GrammarError, match="kind 'after' may stop here, but nothing is told as a fact by it"
    ) as raised:
        StoryWorld.from_text(broken)
    assert raised.value.line == line_of(DOCUMENTS, "A {thing} was")


def line_of(text: str, piece: str) -> int:
    return text[: text.index(piece)].count("\n") + 1


@pytest.mark.parametrize("fault", FAULTS)
def test_error_names_the_line(fault: str) -> None:
    old, new, message, place = FAULTS[fault]
    assert old in MINI
    broken = MINI.replace(old, new, 1)
    with pytest.raises(GrammarError) as raised:
        StoryWorld.from_text(broken)
    assert message in str(raised.value)
    expected = line_of(broken, place) if place else line_of(MINI, old)
    assert raised.value.line == expected, str(raised.value)


def test_an_error_is_one_clear_line_with_the_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(MINI.replace("weight: 2", "weight: -2", 1))
    with pytest.raises(GrammarError) as raised:
        StoryWorld(file)
    assert re.fullmatch(rf"{re.escape(str(file))}:\d+: [^\n]+", str(raised.value))


@pytest.mark.parametrize("text", ["", "[]", "word", "plots: 3", "keywords: [a]\nslots: {hero: [Mia]}"])
def test_files_that_are_no_grammar(text: str) -> None:
    with pytest.raises(GrammarError):
        StoryWorld.from_text(text)


def test_a_scene_switched_off_by_weight_zero_is_no_mistake() -> None:
    world = StoryWorld.from_text(MINI.replace("next: [found, gone]", "next: {found: 1, gone: 0}"))
    assert world.attributes()["ending"] == {"happy": pytest.approx(1.0)}
    with pytest.raises(ValueError, match="no story has ending 'sad'; known: happy"):
        world.sample(1, attribute=("ending", "sad"))


def test_the_example_of_the_documentation_is_a_grammar() -> None:
    page = (Path(__file__).parents[2] / "docs" / "grammar.md").read_text()
    example, kinds = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    world = StoryWorld.from_text(example)
    assert set(world.attributes()["ending"]) == {"happy", "sad"}
    assert world.sample(20)
    course = WORLDS["documents"].read_text()
    kinds, _, others = kinds.partition("\nrelations:")
    cut = course.index("\ndocuments:"), course.index("\nplots:\n")
    world = StoryWorld.from_text(course[: cut[0]] + "\n" + kinds + course[cut[1] :])
    written = read("relations:" + others, "docs").fields()
    assert (
        load_relations(written["relations"], world.grammar.slots).items() <= world.grammar.relations.items()
    )
    assert len(load_phrases(written["called"], world.grammar.slots)) == 3
    assert len(world.kinds) == 7 and {s.attributes["kind"] for s in world.sample(200)} == set(world.kinds)
    assert " = " in world.only("facts first", notation="equals").sample(1)[0].prompt + " "

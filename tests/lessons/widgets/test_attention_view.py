"""The attention explorer: rows are the model's own, slots and gates have their places, any token is safe."""

import re

import ipywidgets as widgets
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lessons.widgets import AttentionExplorer
from lessons.widgets.views.attention import LINES, MOST_LINES, THUMB_CELLS, Attention, attention_view
from minilm import BPETokenizer, MiniLM, ModelConfig, trace

TEXT = "the keeper counted the boats because the sea was calm. "


@pytest.fixture(scope="module")
def tokenizer():
    return BPETokenizer.train([TEXT * 20], vocab_size=280)


@pytest.fixture(scope="module")
def model(tokenizer):
    torch.manual_seed(0)
    return MiniLM(
        ModelConfig(vocab_size=tokenizer.vocab_size, context_length=64, n_layer=4, n_head=4, d_model=32)
    ).eval()


def uniform(n_token: int, n_slot: int = 0) -> list[list[float]]:
    """Each token attends equally to all slots and to all tokens up to itself."""
    return [
        [1 / (n_slot + i + 1) if j <= n_slot + i else 0.0 for j in range(n_slot + n_token)]
        for i in range(n_token)
    ]


def an_attention(tokens=("a", "b"), n_slot=0, n_layer=1, n_head=2, gates=False) -> Attention:
    places = [(layer, head) for layer in range(n_layer) for head in range(n_head)]
    rows = {place: uniform(len(tokens), n_slot) for place in places}
    return Attention(tokens, rows, {place: [0.25] * len(tokens) for place in places} if gates else {})


def test_what_is_looked_at_is_what_the_model_did(model, tokenizer):
    seen = AttentionExplorer(model, tokenizer, TEXT).attentions()[0]
    ids = torch.tensor([tokenizer.encode(TEXT)])
    with torch.no_grad(), trace(model) as traced:
        model(ids)
    for (layer, head), rows in seen.weights.items():
        assert torch.allclose(torch.tensor(rows), traced.attention[layer][0, head])
    assert b"".join(seen.tokens).decode() == TEXT
    assert len(seen.weights) == 16
    assert seen.gates == {} and seen.n_slot == 0


def test_each_token_says_what_it_attends_to_most(read):
    rows = [[1.0, 0.0, 0.0], [0.1, 0.9, 0.0], [0.7, 0.1, 0.2]]
    page = read(attention_view([Attention(("the", " sea", " <b>"), {(0, 0): rows})], 0, 0))
    labels = [value for name, value in page.attributes if name == "aria-label"]
    assert "“ sea” attends to “ sea” 90\u202f%, “the” 10\u202f%" in labels
    assert "“ <b>” attends to “the” 70\u202f%, “ <b>” 20\u202f%, “ sea” 10\u202f%" in labels


def test_slots_are_columns_and_keys_of_their_own(read):
    page = read(attention_view([an_attention(n_slot=3, gates=True)], 0, 0))
    assert page.text.count("slot 1slot 2slot 3ab") == 2  # among the keys, and above the matrix
    assert any("· gate 25\u202f%" in (value or "") for name, value in page.attributes if name == "aria-label")
    boxes = [value for name, value in page.attributes if name == "viewbox"]
    assert "0 -.5 5 2" in boxes


def test_without_slots_and_gates_neither_is_mentioned(read):
    text = read(attention_view([an_attention()], 0, 0)).text
    assert "slot" not in text and "gate" not in text


def test_all_heads_are_shown_and_the_chosen_one_is_marked(read):
    page = read(attention_view([an_attention(n_layer=2, n_head=3)], 1, 2))
    classes = [value for name, value in page.attributes if name == "class"]
    assert classes.count("thumb") == 5 and classes.count("thumb chosen") == 1
    assert (
        "thumb"
        not in attention_view([an_attention(n_layer=2, n_head=3)], 1, 2, heads=False).split("</style>")[1]
    )
    deep = read(attention_view([an_attention(n_layer=12, n_head=12)], 3, 0))
    assert "All heads of layer 4" in deep.text
    assert [value for name, value in deep.attributes if name == "class"].count("thumb") == 11


def test_several_models_stand_side_by_side(read):
    models = [an_attention(), an_attention(n_slot=2)]
    page = read(attention_view(models, 0, 0))
    assert [value for name, value in page.attributes if name == "class"].count("map") == 2
    assert [value for name, value in page.attributes if name == "class"].count("heads") == 2


def test_a_head_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="no head 9 in layer 1: the last is head 2 in layer 1"):
        attention_view([an_attention()], 0, 8)


def cells(path: str) -> list[tuple[int, int]]:
    """(row, column) of every cell that a path of strokes paints."""
    painted, i, j = [], 0, 0
    for across, down, length in re.findall(r"m(-?\d+) (-?\d+)h(\d+)", path):
        i, j = i + int(down), j + int(across)
        painted += [(i, j + step) for step in range(int(length))]
        j += int(length)
    return painted


def test_every_weight_that_counts_is_in_the_matrix():
    rows = uniform(6)
    drawn = attention_view([Attention("abcdef", {(0, 0): rows})], 0, 0)
    matrix = drawn.split('class="matrix"')[1].split("</svg>")[0]
    painted = [cell for path in re.findall(r' d="([^"]*)"', matrix) for cell in cells(path)]
    assert sorted(painted) == [(i, j) for i in range(6) for j in range(i + 1)]


def test_lines_and_small_pictures_are_limited(model, tokenizer):
    seen = AttentionExplorer(model, tokenizer, TEXT * 4).attentions()[0]
    drawn = attention_view([seen], 0, 0)
    n_line = [len(re.findall("<path", q)) for q in re.findall(r'class="q".*?</svg>', drawn)]
    assert max(n_line) <= MOST_LINES
    both = [attention_view([seen, seen], 0, 0)]
    assert re.findall(r'class="q".*?</svg>', both[0])[63].count("<path") <= LINES // 128
    thumbs = drawn.split('class="thumb')[1:]
    assert len(thumbs) == 16
    for thumb in thumbs:
        painted = [cell for path in re.findall(r' d="([^"]*)"', thumb) for cell in cells(path)]
        assert 0 < len(painted) <= THUMB_CELLS // 16 + len(seen.tokens)


@given(st.lists(st.text(max_size=5) | st.binary(max_size=3), min_size=1, max_size=8), st.integers(0, 3))
@settings(deadline=None, max_examples=40)
def test_any_tokens_give_a_view_that_is_whole_and_always_the_same(read, tokens, n_slot):
    look = an_attention(tokens, n_slot, gates=bool(n_slot))
    view = attention_view([look], 0, 1)
    view.encode()
    read(view)
    assert view == attention_view([look], 0, 1)


def test_sliders_choose_layer_and_head_and_a_long_text_stays_small(model, tokenizer, read):
    explorer = AttentionExplorer(model, tokenizer, TEXT * 4)
    before = explorer.output.value
    explorer.layer.value, explorer.head.value = 4, 3
    assert explorer.error is None
    assert "layer 4, head 3" in explorer.output.value
    assert explorer.output.value != before
    assert "64" not in read(explorer.output.value).text or len(explorer.attentions()[0].tokens) == 64
    explorer.text.value = ""
    assert "the text is empty" in explorer.output.value


def buttons(explorer):
    """The small heads' buttons by what they say."""
    todo, found = [explorer.heads.box], {}
    while todo:
        each = todo.pop()
        todo += getattr(each, "children", ())
        if isinstance(each, widgets.Button):
            found.setdefault(each.tooltip, []).append(each)
    return found


def test_every_small_head_is_a_button_that_leads_into_it(model, tokenizer):
    explorer = AttentionExplorer(model, tokenizer, TEXT)
    assert buttons(explorer).keys() == {
        f"layer {layer}, head {head}" for layer in range(1, 5) for head in range(1, 5)
    }
    buttons(explorer)["layer 3, head 2"][0].click()
    assert explorer.error is None
    assert (explorer.layer.value, explorer.head.value) == (3, 2)
    assert "layer 3, head 2" in explorer.output.value
    pictures = explorer.heads._pictures[0]
    assert [place for place, each in pictures.items() if "thumb chosen" in each.value] == [(2, 1)]


def test_of_many_heads_those_of_the_layer_are_buttons(tokenizer):
    shape = ModelConfig(vocab_size=tokenizer.vocab_size, context_length=16, n_layer=13, n_head=4, d_model=16)
    explorer = AttentionExplorer(MiniLM(shape).eval(), tokenizer, "the sea")
    assert buttons(explorer).keys() == {f"layer 1, head {head}" for head in range(1, 5)}
    explorer.layer.value = 9
    assert buttons(explorer).keys() == {f"layer 9, head {head}" for head in range(1, 5)}


def test_models_side_by_side_have_their_small_heads_side_by_side(model, tokenizer):
    explorer = AttentionExplorer({"one": model, "two": model}, tokenizer, "the sea")
    assert all(len(both) == 2 for both in buttons(explorer).values())
    assert "All heads of one" in explorer.heads.box.children[0].children[0].value


def test_the_saved_view_shows_all_heads_and_says_where_they_can_be_pressed(model, tokenizer, read):
    explorer = AttentionExplorer(model, tokenizer, TEXT)
    saved = read(explorer._repr_mimebundle_()["text/html"])
    assert [value for name, value in saved.attributes if name == "class"].count("thumb") == 15
    assert "in a running notebook, press one" in saved.text
    assert "button" not in saved.tags


def test_the_text_is_read_once_however_the_sliders_move(model, tokenizer):
    explorer = AttentionExplorer(model, tokenizer, TEXT)
    attentions = explorer.attentions()
    explorer.layer.value = 2
    assert explorer.attentions() is attentions

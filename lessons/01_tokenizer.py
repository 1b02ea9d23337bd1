# %% [markdown]
# # 1. Tokens
#
# **You will see** how text becomes the numbers that a language model reads: bytes that merge into tokens,
# pair by pair, on your own text.
#
# **It takes** about a minute. You learn merges by hand in 20 lines, and the library learns the very same
# ones.

# %%
from lessons.checks import check, exercise, solution
from lessons.profiles import profile

size = profile()
print(size)

# %% [markdown]
# ## The idea
#
# A model has one row of weights for each *token* that it knows, and it reads a text as a list of tokens. What
# should a token be?
#
# - **A byte or a character?** 256 bytes write any text. But the lists get long, and attention compares every
#   token with every other one: five times as many tokens, 25 times the work.
# - **A word?** The lists are short. But the words never end, and for a word that was not in the corpus there
#   is no token.
# - **Byte-pair encoding** (BPE) stands in between. It begins with the 256 bytes, and makes a token of what is
#   frequent.
#
# The algorithm fits in a sentence: count all pairs of neighbours in the corpus, merge the most frequent pair
# into a new token everywhere, and begin again. With $n(w)$ for how often word $w$ stands in the corpus, and
# $c_w(a, b)$ for the number of places in $w$ where $b$ follows $a$, the next merge is
#
# $$(a, b)^\ast = \arg\max_{(a, b)} \sum_w n(w)\, c_w(a, b)$$
#
# (Sennrich et al. 2016, *Neural Machine Translation of Rare Words with Subword Units*, algorithm 1; on bytes:
# Radford et al. 2019, the GPT-2 report, section 2.2.)
#
# ## Text is bytes
#
# A computer stores a character as one to four bytes (UTF-8). English letters take one, most other letters
# more.

# %% tags=["nbval-check-output"]
for character in ["a", "é", "€", "日", "🙂"]:
    print(character, list(character.encode()))

# %% [markdown]
# ## Exercise 1: before the first merge
#
# A tokenizer that has learnt no merges has one token for each byte. How many tokens does it make of "日本語"?

# %% tags=["key"]
exercise(
    "bytes",
    len("日本語".encode()),
    hints=("These characters are like 日 in the list above.", "Three characters of three bytes each."),
    because="a byte-level tokenizer can write any text, but not every script at the same price",
)

# %% tags=["exercise"]
n_token = ...
check("bytes", n_token)

# %% tags=["solution"]
n_token = len("日本語".encode())
solution("bytes", n_token)

# %% [markdown]
# ## Words first
#
# If pairs could cross the border between words, tokens such as "dog." and "dog," would be learnt apart from
# "dog". GPT-2 cuts a text into words first, and merges only within a word. A word keeps the space before it,
# so a text is its words written one after the other, with nothing lost.

# %% tags=["nbval-check-output"]
from minilm.text.pretokenization import split_words

text = "The keeper's boat  sank in 1931, didn't it?"
words = split_words(text)
print(words)
print("joined again, the same text:", "".join(words) == text)

# %% [markdown]
# Look at the two spaces: the second belongs to "sank", the first stands alone. Contractions, numbers and
# signs are words of their own.
#
# ## By hand
#
# The corpus is made of stories from the world that lesson 0 showed. This is all of BPE's learning:

# %%
from collections import Counter
from itertools import pairwise

from minilm.text.pretokenization import BYTE_ORDER

Pair = tuple[bytes, bytes]


def merged(word: tuple[bytes, ...], pair: Pair) -> tuple[bytes, ...]:
    """The pieces of a word, the pair made one wherever it stands, from left to right."""
    pieces: list[bytes] = []
    for piece in word:
        if pieces and (pieces[-1], piece) == pair:
            pieces[-1] += piece
        else:
            pieces.append(piece)
    return tuple(pieces)


# %%
def learn(texts: list[str], n_merge: int) -> list[tuple[Pair, int]]:
    """The most frequent pair and its count, again and again."""
    counts = Counter(word for text in texts for word in split_words(text))
    words = {tuple(bytes([byte]) for byte in word.encode()): n for word, n in counts.items()}
    ids = {bytes([byte]): number for number, byte in enumerate(BYTE_ORDER)}
    merges: list[tuple[Pair, int]] = []
    while len(merges) < n_merge:
        pairs: Counter[Pair] = Counter()
        for word, n in words.items():
            for pair in pairwise(word):
                pairs[pair] += n
        best = min(pairs, key=lambda pair: (-pairs[pair], ids[pair[0]], ids[pair[1]]))  # a tie: smaller ids
        words = {merged(word, best): n for word, n in words.items()}
        ids[best[0] + best[1]] = len(ids)
        merges.append((best, pairs[best]))
    return merges


# %%
from minilm.storyworld import StoryWorld

world = StoryWorld("stories")
stories = [story.text for story in world.sample(size.pick(smoke=300, cpu=4000, gpu=4000), seed=1)]
print(stories[0])
by_hand = learn(stories, n_merge=100)
by_hand[:6]

# %% [markdown]
# Each line is a merge: its two parts, and how often they met. Common letters come first, soon whole words.
#
# ## The library's version
#
# `learn` counts all pairs anew before every merge. `BPETokenizer.train` remembers in which words each pair
# stands, and corrects only the counts that a merge changes. For 4,096 merges from a megabyte of text, `learn`
# takes minutes and the library about a second. They must learn exactly the same:

# %%
import time

from minilm import BPETokenizer

start = time.perf_counter()
small = BPETokenizer.train(stories, vocab_size=256 + 100 + 1)  # the bytes, the merges, <|endoftext|>
print(f"{len(small.merges)} merges from {len(stories):,} stories in {time.perf_counter() - start:.2f} s")

# %% tags=["nbval-check-output"]
library = [((small.token_bytes(m.left), small.token_bytes(m.right)), m.count) for m in small.merges]
print(f"{len(library)} pairs and counts, the same as by hand: {library == by_hand}")

# %% [markdown]
# ## Exercise 2: encode
#
# To encode a word is to begin with its bytes and to apply the merges, in the order in which they were learnt.
# Write the function, with what stands above. It is held against the library on a few words.


# %% tags=["key"]
def as_the_library_does(answer) -> bool:
    """Whether it cuts words as `small.encode` does."""
    for word in (" the", " lighthouse", " whispered", "Noah", " 日本", "aaaa", " and", "?"):
        tokens = [small.token_bytes(token) for token in small.encode(word)]
        assert list(answer(word)) == tokens, f"{word!r} is cut otherwise"
    return True


exercise(
    "encode",
    as_the_library_does,
    hints=(
        "`learn` shows how a word becomes a tuple of bytes, and `merged` how one pair is merged.",
        "`for pair, count in by_hand:` goes through the merges in order.",
        "`pieces = merged(pieces, pair)` for each of them; then return the pieces.",
    ),
    because="the order matters: an early merge may take a byte that a later one would want",
)


# %% tags=["exercise"]
def encode(word: str) -> tuple[bytes, ...]:
    """The tokens of a word: its bytes after all merges of `by_hand`."""
    return ...


check("encode", encode)


# %% tags=["solution"]
def encode(word: str) -> tuple[bytes, ...]:
    pieces = tuple(bytes([byte]) for byte in word.encode())
    for pair, _ in by_hand:
        pieces = merged(pieces, pair)
    return pieces


solution("encode", encode)

# %% [markdown]
# ## Watch the merges
#
# Now a vocabulary of the size that the course's models use. Below it is replayed on a text: bytes at the
# bottom, and each merge a box over the two that it joins. The coloured boxes are the tokens. Move the slider,
# press play, write your own text. **Look for** three things: how early merges join letters and late ones
# words; that words of the stories end as one token while rare words stay in pieces; what becomes of an accent
# or an emoji.

# %%
from lessons.widgets.bpe_stepper import BPEStepper

tok = BPETokenizer.train(stories, vocab_size=1024)
BPEStepper(tok, "The gardener planted a rhododendron near the café 🙂")

# %% [markdown]
# A token's text is not always readable: an accent's two bytes, say, may be two tokens. `token_bytes` gives
# the bytes, `readable` shows them, and the id is what the model gets.

# %%
import pandas as pd

ids = tok.encode("<|endoftext|>Noah found a café.")
pd.DataFrame(
    {"id": ids, "token": map(tok.readable, ids), "bytes": [tok.token_bytes(i).hex(" ") for i in ids]}
)

# %% [markdown]
# `<|endoftext|>` is a *special token*: no merge makes it, and it takes the last id. It stands before every
# text of a corpus, so that the model learns where texts begin and end.
#
# ## What a vocabulary buys
#
# More merges, fewer tokens. How many fewer? Measured in bytes per token, on stories that were not learnt
# from, and on texts that the corpus knows nothing of.

# %%
held_out = [story.text for story in world.sample(200, seed=2)]
others = {
    "Shakespeare": "Shall I compare thee to a summer's day? Thou art more lovely and more temperate: "
    "Rough winds do shake the darling buds of May, And summer's lease hath all too short a date.",
    "Goethe": "Wer reitet so spät durch Nacht und Wind? Es ist der Vater mit seinem Kind; "
    "Er hat den Knaben wohl in dem Arm, Er faßt ihn sicher, er hält ihn warm.",
    "Python": "def mean(values):\n    total = 0\n    for value in values:\n        total += value\n"
    "    return total / len(values)\n",
    "Bashō": "古池や蛙飛びこむ水の音",
}
corpora = {"stories": held_out, **{name: [text] for name, text in others.items()}}


def bytes_per_token(tokenizer: BPETokenizer, texts: list[str]) -> float:
    """How much text a token holds."""
    return sum(len(text.encode()) for text in texts) / sum(len(tokenizer.encode(text)) for text in texts)


# %%
sizes = [257, 320, 384, 512, 768, 1024, 1536, 2000]
tokenizers = [BPETokenizer.train(stories, vocab_size=each) for each in sizes]
rows = {name: [bytes_per_token(each, texts) for each in tokenizers] for name, texts in corpora.items()}
compression = pd.DataFrame(rows, index=pd.Index(sizes, name="vocabulary"))
compression.round(2)

# %% [markdown]
# The price is paid in weights. The embedding has a row of `d_model` numbers for each token, whether the token
# is frequent or not. On the right: which share of a small model's weights that is.

# %%
import matplotlib.pyplot as plt

from lessons.widgets import use_style
from minilm import ModelConfig

use_style()
shape = ModelConfig.preset("small")
blocks = 12 * shape.n_layer * shape.d_model**2  # weights of attention and MLP, biases left out
shares = [each * shape.d_model / (each * shape.d_model + blocks) for each in sizes]
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
for name, values in compression.items():
    _ = left.plot(sizes, values, "o-", markersize=4, label=name)
_ = left.set(xlabel="vocabulary", ylabel="bytes per token", title="What it buys")
_ = left.legend()
_ = right.plot(sizes, shares, "o-", markersize=4)
_ = right.set(xlabel="vocabulary", ylabel="share of all weights", title="What it costs", ylim=(0, None))

# %% [markdown]
# On the stories the curve bends: their world has only so many words, and once a word is one token, nothing is
# left to gain on it. On other English the vocabulary is worth less, on German little, on Japanese nothing. A
# vocabulary knows the corpus that it was learnt from.
#
# ## Exercise 3: the end of the curve
#
# Merges never cross the border of a word. So however large the vocabulary, no tokenizer of this kind reaches
# more bytes per token on `held_out` than ... what number? Compute it.

# %% tags=["key"]
exercise(
    "limit",
    sum(len(text.encode()) for text in held_out) / sum(len(split_words(text)) for text in held_out),
    hints=(
        "With an endless vocabulary, how many tokens is a word?",
        "Then the number of tokens is the number of words, and `split_words` gives those.",
        "All bytes of `held_out`, divided by `sum(len(split_words(text)) for text in held_out)`.",
    ),
    because="to go further, one must let merges cross spaces; some recent tokenizers do",
)

# %% tags=["exercise"]
limit = ...
check("limit", limit)

# %% tags=["solution"]
limit = sum(len(text.encode()) for text in held_out) / sum(len(split_words(text)) for text in held_out)
print(f"limit {limit:.3f}, reached with {sizes[-1]} tokens {compression['stories'].iloc[-1]:.3f}")
solution("limit", limit)

# %% [markdown]
# ## Exercise 4: comparing losses
#
# A model's loss is the mean surprise *per token*, in nats. Two models with different tokenizers cannot be
# compared by it: who takes larger steps is surprised more at each. Per byte they can be. A model has a loss
# of 2.1 nats per token, and its tokens hold 3.5 bytes on average. How many **bits per byte** is that? (One
# nat is $1 / \ln 2$ bits.)

# %% tags=["key"]
import math

exercise(
    "bits per byte",
    2.1 / math.log(2) / 3.5,
    hints=(
        "First bits per token: divide by `math.log(2)`.",
        "Then spread them over the bytes: divide by 3.5.",
    ),
    because="lesson 3 reports this number, and so do papers that compare across vocabularies",
)

# %% tags=["exercise"]
bits_per_byte = ...
check("bits per byte", bits_per_byte)

# %% tags=["solution"]
bits_per_byte = 2.1 / math.log(2) / 3.5
solution("bits per byte", bits_per_byte)

# %% [markdown]
# ## The same as `tokenizers`
#
# The library `tokenizers`, in Rust, is what most models are trained with. Ours writes and reads its
# `tokenizer.json`. Learnt from the same stories, the merges are the same; for any text, the ids are the same.

# %% tags=["nbval-check-output"]
import json

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

reference = Tokenizer(models.BPE())
reference.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
trainer = trainers.BpeTrainer(
    vocab_size=1023, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
)
reference.train_from_iterator(stories, trainer)
theirs = json.loads(reference.to_str())["model"]["merges"]
ours = json.loads(tok.to_tokenizers().to_str())["model"]["merges"]
same_ids = [tok.encode(text) == reference.encode(text).ids for texts in corpora.values() for text in texts]
print(f"the same merges: {theirs == ours}, the same ids: {all(same_ids)}")

# %% [markdown]
# ## The claim, and what was measured
#
# Radford et al. (2019) chose bytes because such a model "can assign a probability to any Unicode string": no
# text is without an encoding. So every string must come back from its tokens as it was. Here are 2,000
# strings of random characters, from all of Unicode:

# %% tags=["nbval-check-output"]
import random

rng = random.Random(0)
code_points = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]  # surrogates are no characters
strings = ["".join(map(chr, rng.choices(code_points, k=rng.randrange(40)))) for _ in range(2000)]
restored = sum(tok.decode(tok.encode(string)) == string for string in strings)
print(f"{restored} of {len(strings)} strings came back as they were")

# %% [markdown]
# ## Traps
#
# **A space is part of the token.** A word at the start of a text, after a space, and with a capital are three
# different things to the model. A prompt that ends in a space asks for a word that begins with another one.

# %%
for text in ("night", " night", "Night", "night "):
    print(f"{text!r:10}", [tok.readable(token) for token in tok.encode(text)])

# %% [markdown]
# **A token may be half a character.** Decode tokens one by one, and characters break. Who shows a text while
# it is being generated collects the bytes until a character is whole:

# %% tags=["nbval-check-output"]
import codecs

tokens = tok.encode("a 🙂!")
print([tok.decode([token]) for token in tokens])
decoder = codecs.getincrementaldecoder("utf-8")()
print([decoder.decode(tok.token_bytes(token)) for token in tokens])

# %% [markdown]
# **Special tokens in a text are obeyed.** Whoever may write `<|endoftext|>` into a prompt may end it.
# Programs that take text from strangers have to remove such marks.
#
# **A tokenizer belongs to its model.** Ids are row numbers. Another tokenizer's ids are valid numbers, and
# nonsense:

# %%
other = BPETokenizer.train(held_out[:100], vocab_size=700)
tok.decode(other.encode("The lamp was lit."))

# %% [markdown]
# **Sometimes the text is broken already.** Half of a character pair (a lone surrogate), as careless cutting
# leaves it, is no character, and has no bytes. The error says where it stands:

# %% tags=["nbval-check-output"]
try:
    tok.encode("cut here \ud83d and lost")
except ValueError as error:
    print(error)

# %% [markdown]
# Next, what a model does with the ids: [2. The transformer](02_transformer.ipynb).

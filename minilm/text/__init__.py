"""Text to token ids and back: byte-level byte-pair encoding."""

from minilm.text.tokenizer import END_OF_TEXT, BPETokenizer

__all__ = ["END_OF_TEXT", "BPETokenizer"]

"""Tiny random networks and sets of our own making, for tests that train in seconds."""

import dataclasses

import numpy as np
import pandas as pd
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from irtkit.bridge.finetuning.examples import FinetuningSet

LABELS = ("no", "perhaps", "yes")
COLOURS = ("red", "green", "blue")
THINGS = ("box", "cat", "door", "hat", "lamp")
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", *COLOURS, *THINGS, "the", "is", "it", "seen")


def things(number):
    """Write a number in words, so that texts differ: things are its digits."""
    more, digit = divmod(number, len(THINGS))
    return (f"{things(more)} " if more else "") + THINGS[digit]


def examples(n=48, *, seed=0, first=0, target="gold", pairs=True):
    """Make a set whose label is told by the colour in the text."""
    rng = np.random.default_rng(seed)
    label = np.arange(n) % 3
    rng.shuffle(label)
    shares = rng.dirichlet(np.ones(3), n)
    crowd = 0.7 * np.eye(3)[label] + 0.3 * shares
    rows = pd.DataFrame({"item": [f"q{first + place}" for place in range(n)]})
    rows["text"] = [
        f"the {things(first + place)} is {COLOURS[k]}" for place, k in enumerate(label)
    ]
    if pairs:
        rows["text_pair"] = ["it is seen"] * n
    rows["label"] = label
    rows["label_distribution"] = (np.eye(3)[label] if target == "gold" else crowd).tolist()
    rows["weight"] = 1.0
    rows["difficulty"] = np.nan
    rows["discrimination"] = np.nan
    return FinetuningSet("colours", target, LABELS, rows)


def weighted(made, weights):
    """Give the examples other weights."""
    return dataclasses.replace(made, rows=made.rows.assign(weight=np.asarray(weights, float)))


def tokenizer():
    """Make a tokenizer that knows whole words."""
    words = Tokenizer(models.WordLevel({w: n for n, w in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=64,
    )


def config(**given):
    """Describe a BERT of two layers of 32."""
    return BertConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        pad_token_id=0,
        initializer_range=0.2,  # so that random networks tell texts apart
        **given,
    )


def encoder_folder(folder, **given):
    """Save a random encoder without a head, and its tokenizer."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        network = BertForSequenceClassification(config(**given))
    network.bert.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder

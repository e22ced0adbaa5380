"""A model of ten words that thinks before it answers, made by hand and not trained.

After the chat it writes `<think> N </think> so N`, where N is 4, 5 or 6 with a probability of one third
each: it answers what it thought. Its one attention layer looks at all words before with equal weight,
so that a word knows what has been said; the weights of the last layer are the rules below.
"""

import json
from pathlib import Path

CHAT = (
    "{% for m in messages %}<{{ m.role }}> {{ m.content }} {% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
# As Qwen3: a closed thought in the prompt where none is wanted, else the model begins it.
WRITES_THE_TAG = CHAT + (
    "{% if enable_thinking is defined and not enable_thinking %} <think> </think>{% endif %}"
)
# As DeepSeek-R1: the prompt ends with the tag.
TAG_IN_THE_PROMPT = CHAT + " <think>\n{# until </think> #}"
WORDS = ["<unk>", "<eos>", "<user>", "<assistant>", "<think>", "</think>", "4", "5", "6", "so"]
NUMBERS = ("4", "5", "6")
NOW, SAID, MARGIN = 1e6, 1e4, 1e2  # the weights of the last word, of all words so far, of a tie


def make(folder: Path, template: str = WRITES_THE_TAG, tags: tuple[str, str] | None = None) -> str:
    """Writes the model with its tokenizer; `tags` are its own in place of `<think>` and `</think>`."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    named = dict(zip(("<think>", "</think>"), tags or (), strict=False))
    words = [named.get(word, word) for word in WORDS]
    at = {word: i for i, word in enumerate(WORDS)}
    size = 16
    config = LlamaConfig(
        vocab_size=len(words), hidden_size=size, intermediate_size=4, num_hidden_layers=1,
        num_attention_heads=1, num_key_value_heads=1, head_dim=size, max_position_embeddings=256,
        tie_word_embeddings=False, bos_token_id=None, eos_token_id=at["<eos>"], pad_token_id=None,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    rules = torch.zeros(len(words), size)
    rules[at["<think>"], at["<assistant>"]] = NOW
    for number in NUMBERS:
        rules[at[number], at["<think>"]] = NOW
        rules[at["</think>"], at[number]] = NOW
        rules[at[number], at["so"]] = NOW
        rules[at[number], at[number]] = SAID
        rules[at["<eos>"], at[number]] = NOW - MARGIN
    rules[at["so"], at["</think>"]] = NOW
    rules[at["<eos>"], at["so"]] = SAID  # the second number ends the text
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
        model.model.embed_tokens.weight[:, : len(words)] = torch.eye(len(words))
        for name, weight in model.named_parameters():
            if "norm" in name:
                weight.fill_(1)
        attention = model.model.layers[0].self_attn
        attention.v_proj.weight.copy_(torch.eye(size))
        attention.o_proj.weight.copy_(torch.eye(size))
        model.lm_head.weight.copy_(rules)
    model.save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<eos>", unk_token="<unk>", chat_template=template
    )
    fast.save_pretrained(folder)
    return str(folder)


def problems(path: Path, count: int = 2) -> dict:
    """Problems in GSM8K's shape whose answer is 4, as options of a run."""
    rows = [{"question": f"Which number is it, {i}?", "answer": "#### 4"} for i in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {"benchmark": "gsm8k", "data_file": path}

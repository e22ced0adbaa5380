"""How fast the transformers engine samples: against bare `generate`, and against bare matrix products.

    python benchmarks/engine.py [--model build/smollm2-135m-instruct] [--data-file test.jsonl]
                                [--temperatures 0.5 1.0] [--random 32000 128000] [--repeats 3] [--quick]

Eight questions, 32 samples of each, at most 64 tokens a sample. Both get the same prompts, and draw with
the same temperature and top-p; they take turns, and the medians are compared. `generate` gets all samples
in one batch, or in batches of `--batch`. Tokens are counted up to the end token. Random models (a Llama of
five million parameters beside its vocabulary) are sure of nothing, so no two of their samples share a
token: the worst case of a trie.

`bound` are the same matrix products without anything else: the weights of the model times as many rows as
each of the engine's forward passes had, in the same run.
"""

import argparse
import time
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

import torch

from ctm_eval.benchmarks import load_problems
from ctm_eval.engines import Request, Sampling
from ctm_eval.engines.transformers import TransformersEngine

MODEL = "build/smollm2-135m-instruct"


def random_model(vocabulary: int, like: TransformersEngine) -> TransformersEngine:
    """A Llama with random weights that takes the prompts of `like`."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=256,
        intermediate_size=704,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=4,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )
    model = LlamaForCausalLM(config)
    return TransformersEngine(model, like.tokenizer, f"random Llama, {vocabulary:,}")


def chats(engine: TransformersEngine, count: int, data_file: Path | None) -> list[list[int]]:
    """Questions as prompts: in the model's chat template where it has one."""
    name = "gsm8k" if data_file else "pocket"
    questions = [p.question for p in load_problems(name, data_file=data_file, limit=count)]
    if getattr(engine.tokenizer, "chat_template", None):
        return [engine.encode_chat([{"role": "user", "content": q}]) for q in questions]
    return [engine.encode(question) for question in questions]


def ours(
    engine: TransformersEngine, prompts: list[list[int]], samples: int, count: int, policy: Sampling
) -> int:
    """Samples with the engine; returns the tokens drawn."""
    requests = [
        Request(prompt, 1000 * i + j, count)
        for i, prompt in enumerate(prompts)
        for j in range(samples)
    ]
    return sum(len(completion.token_ids) for completion in engine.sample(requests, policy))


def bare_generate(
    engine: TransformersEngine,
    prompts: list[list[int]],
    samples: int,
    count: int,
    policy: Sampling,
    batch: int,
) -> int:
    """Samples with `generate`; returns the tokens drawn."""
    every = [prompt for prompt in prompts for _ in range(samples)]
    options: dict[str, Any] = {"do_sample": False}
    if policy.temperature:
        options = {"do_sample": True, "temperature": policy.temperature, "top_p": policy.top_p}
    total = 0
    for start in range(0, len(every), batch):
        own = every[start : start + batch]
        width = max(map(len, own))
        ids = torch.zeros((len(own), width), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(own):
            ids[row, width - len(prompt) :] = torch.tensor(prompt)
            mask[row, width - len(prompt) :] = 1
        out = engine.model.generate(
            ids, attention_mask=mask, max_new_tokens=count, top_k=0, pad_token_id=2, **options
        )
        for row in out[:, width:].tolist():
            ends = [t for t, token in enumerate(row) if token in engine.eos_ids]
            total += ends[0] + 1 if ends else len(row)
    return total


class Shapes:
    """Counts the rows that the products of a model's layers and of its head had, while it is open."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.model = model
        self.body: Counter[int] = Counter()
        self.head: Counter[int] = Counter()

    def __enter__(self) -> "Shapes":
        embed = self.model.get_input_embeddings()
        head = self.model.get_output_embeddings()
        self.hooks = [
            embed.register_forward_hook(lambda _, args, out: self._note(self.body, out)),
            head.register_forward_hook(lambda _, args, out: self._note(self.head, out)),
        ]
        return self

    def __exit__(self, *unused: object) -> None:
        for hook in self.hooks:
            hook.remove()

    @staticmethod
    def _note(counter: Counter[int], out: torch.Tensor) -> None:
        counter[out.numel() // out.shape[-1]] += 1

    def seconds(self) -> float:
        """What these products take when nothing else is done."""
        head = self.model.get_output_embeddings()
        layers = [
            module
            for module in self.model.modules()
            if isinstance(module, torch.nn.Linear) and module is not head
        ]
        return _bare(layers, self.body) + _bare([head], self.head)


def _bare(layers: list[torch.nn.Module], rows: Counter[int]) -> float:
    total = 0.0
    with torch.inference_mode():
        for count, times in rows.items():
            inputs = {n: torch.randn(count, n) for n in {layer.in_features for layer in layers}}
            inputs = {n: x.to(layers[0].weight.dtype) for n, x in inputs.items()}
            took = []
            for _ in range(2):
                started = time.process_time()
                for layer in layers:
                    torch.nn.functional.linear(inputs[layer.in_features], layer.weight)
                took.append(time.process_time() - started)
            total += times * min(took)
    return total


def measure(
    engine: TransformersEngine, prompts: list[list[int]], policy: Sampling, options: Any
) -> str:
    """One line of the table."""
    shape = (prompts, options.samples, options.tokens, policy)
    batch = options.batch or options.samples * len(prompts)
    with Shapes(engine.model) as shapes:
        tokens = ours(engine, *shape)  # a warm-up, too
    bare_generate(engine, prompts, 1, 2, policy, batch)
    bound = [shapes.seconds()]
    own, theirs = [], []
    for _ in range(options.repeats):
        started = time.process_time()
        ours(engine, *shape)
        own.append(tokens / (time.process_time() - started))
        started = time.process_time()
        drawn = bare_generate(engine, *shape, batch)
        theirs.append(drawn / (time.process_time() - started))
        bound.append(shapes.seconds())
    ratio = median(a / b for a, b in zip(own, theirs, strict=True))
    rows = sum(count * times for count, times in shapes.head.items()) / shapes.head.total()
    share = median(own) * median(bound) / tokens
    return (
        f"| {Path(engine.name).name} | {policy.temperature} | {policy.top_p} | {median(own):,.0f} | "
        f"{median(theirs):,.0f} | {ratio:.2f} | {rows:.0f} | {share:.0%} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--data-file", type=Path, help="questions of GSM8K; otherwise pocket's")
    parser.add_argument("--temperatures", type=float, nargs="*", default=[0.5, 1.0])
    parser.add_argument("--top-p", type=float, nargs="+", default=[0.95])
    parser.add_argument("--random", type=int, nargs="*", default=[32000, 128000])
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--batch", type=int, help="rows of `generate` at once; otherwise all")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--quick", action="store_true", help="a minute, to see that it runs")
    options = parser.parse_args()
    if options.quick:
        options.prompts, options.samples, options.tokens, options.repeats = 2, 4, 8, 1
    engine = TransformersEngine.load(options.model, device="cpu", dtype=options.dtype)
    prompts = chats(engine, options.prompts, options.data_file)
    print(
        "| model | temperature | top-p | tokens/s | `generate` | × | rows a pass | of the bound |"
    )
    print("|---|---|---|---|---|---|---|---|")
    policies = [Sampling(t, p) for t in options.temperatures for p in options.top_p]
    for policy in policies:
        print(measure(engine, prompts, policy, options), flush=True)
    for vocabulary in options.random:
        other = random_model(vocabulary, engine)
        inside = [[token % vocabulary for token in prompt] for prompt in prompts]
        print(measure(other, inside, Sampling(1.0, options.top_p[0]), options), flush=True)


if __name__ == "__main__":
    main()

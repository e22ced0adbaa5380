"""Others' formats of steps, pivotal tokens and thought anchors: a file for each, read and written."""

from ctm_data.formats.math_shepherd import MATH_SHEPHERD
from ctm_data.formats.prm800k import PRM800K
from ctm_data.formats.pts import PTS
from ctm_data.formats.record import Format
from ctm_data.formats.thought_anchors import THOUGHT_ANCHORS
from ctm_data.formats.trl_stepwise import TRL_STEPWISE

FORMATS: dict[str, Format] = {
    one.name: one for one in (TRL_STEPWISE, PRM800K, MATH_SHEPHERD, PTS, THOUGHT_ANCHORS)
}

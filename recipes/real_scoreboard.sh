#!/usr/bin/env bash
# The scoreboard on real videos: each video's first frame is driven by its later frames; scores stand in the hull of
# MediaPipe's face landmarks and in the mouth and eye boxes, with landmark errors and the correlation of openings.
#
#     recipes/real_scoreboard.sh VIDEOS OUT [WEIGHTS] [option of `megaportraits evaluate` ...]
#
# VIDEOS is a folder of videos of one person each; a few seconds for each on a CPU.
set -euo pipefail
videos=$1 out=$2 weights=${3:-}
shift $(($# > 3 ? 3 : $#))
megaportraits evaluate ${weights:+--weights "$weights"} --data "$videos" --protocol self --frames 8 \
    --output "$out/real-scores" "$@"

#!/usr/bin/env bash
# The held-out scoreboard of the shipped weights (docs/model-card-base.md): 8 people and 4 motions made of held-out
# assets only, every motion on every person, so that cross-driving has a true answer.
#
#     recipes/truth_scoreboard.sh HEADS OUT [WEIGHTS]
#
# HEADS is a MakeHuman data folder, OUT receives truth/ (rendered once, about five minutes) and the scores.
set -euo pipefail
heads=$1 out=$2 weights=${3:-}
megaportraits synth --assets "$heads" --out "$out/truth" --split held_out --seed 28 \
    --clips 8 --motion-of 0,1,2,3 --frames 8 --step 14 --workers 2
for protocol in truth self; do
    megaportraits evaluate ${weights:+--weights "$weights"} --data "$out/truth" --protocol "$protocol" \
        --output "$out/$protocol-scores"
done

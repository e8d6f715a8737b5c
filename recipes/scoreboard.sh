#!/usr/bin/env bash
# The whole scoreboard of the shipped weights (docs/results.md), or of any others.
#
#     recipes/scoreboard.sh HEADS VIDEOS OUT [option of `megaportraits evaluate` ...]
#
# HEADS is a MakeHuman data folder, VIDEOS a folder of videos of one person each. OUT receives truth/ (rendered once,
# about ten minutes: 8 people and 4 motions of held-out assets only, every motion on every person, so that cross-driving
# has a true answer; 512 px, which the enhancer needs) and moving/ (4 people, neighbouring frames), and rendered-scores/,
# real-scores/, enhanced-scores/ and flicker-scores/ with a report.html each. The options name weights and the networks of
# metrics: --weights, --pose-net, --gaze-net, --recogniser, --squeezenet, --lpips, --inception, --iqa.
set -euo pipefail
heads=$1 videos=$2 out=$3
shift 3
megaportraits synth --assets "$heads" --out "$out/truth" --split held_out --seed 28 \
    --clips 8 --motion-of 0,1,2,3 --frames 8 --step 14 --size 512 --workers 2
megaportraits synth --assets "$heads" --out "$out/moving" --split held_out --seed 29 \
    --clips 4 --frames 20 --step 1 --size 512 --workers 2
megaportraits evaluate --data "$out/truth" --protocol all --output "$out/rendered-scores" "$@"
megaportraits evaluate --data "$videos" --protocol all --output "$out/real-scores" "$@"
megaportraits evaluate --data "$out/truth" --protocol enhance --output "$out/enhanced-scores" "$@"
megaportraits evaluate --data "$out/moving" --protocol enhance --step 1 --output "$out/flicker-scores" "$@"

"""The data kit: raw videos and photos become clips that can be trusted, on one machine or a cluster.

    lists, layouts        what there is to work on
    videos, photos        one file -> clips, and records of what was left out
    runners               the files, spread over processes or a Ray cluster
    finish                what needs all files: duplicates, ranks of quality, the manifest
    shards, verify, report

A prepared folder:

    OUT/CLIP/...          clips to train on (`data/clips.py`)
    OUT/left_out/CLIP/... clips that duplicates, quality or rank left out
    OUT/jobs/...          what was found in each file, and small pictures of it
    OUT/manifest.jsonl    one record for each clip, taken or not, with the reason (`records.py`)
    OUT/dataset.json      the settings
    OUT/report.html       counts, histograms, contact sheets
"""

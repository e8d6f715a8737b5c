"""The numbers of the head pose net: errors on rendered clips by yaw, agreement with other methods on real videos.

    python recipes/pose_report.py --data CLIPS [--weights FOLDER] [--videos FOLDER --fsanet A.onnx B.onnx]

CLIPS is a folder of held-out clips, for the model card the truth set of `recipes/scoreboard.sh`. FSA-Net
(MIT licence) is optional and needs ONNX Runtime; its two files are averaged.
"""

import sys

from megaportraits.errors import UserError
from megaportraits.evaluate.pose_report import pose_report
from megaportraits.options import parse


def main() -> None:
    try:
        pose_report(**parse(pose_report, "pose_report.py", sys.argv[1:]))
    except UserError as error:
        sys.exit(f"pose_report.py: {error}")


if __name__ == "__main__":
    main()

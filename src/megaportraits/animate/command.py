"""`megaportraits animate` and `megaportraits motion extract`."""

from megaportraits.animate.animator import Animator
from megaportraits.animate.devices import leave_a_core
from megaportraits.animate.drivers import open_driver
from megaportraits.animate.extract import extract
from megaportraits.animate.motion_file import SUFFIX
from megaportraits.animate.pipeline import animate_files
from megaportraits.animate.request import check_request
from megaportraits.animate.stopwatch import Stopwatch
from megaportraits.config import AnimateConfig, EnlargeConfig, MotionExtract
from megaportraits.errors import UserError
from megaportraits.files import replacing


def animate(config: AnimateConfig) -> None:
    """Animate a photo by the head movement and expression of a video."""
    options = config.options()
    check_request(config.source, config.driver, config.output, options)
    leave_a_core()
    animator = load_animator(config)
    print(animate_files(animator, config.source, config.driver, config.output, options))


def load_animator(config: EnlargeConfig) -> Animator:
    """The model that a command asks for."""
    return Animator.load(config.weights, config.device, config.precision, config.resolution, config.enhancer)


def extract_motion(config: MotionExtract) -> None:
    """Write the motion of a driver into a file that drives any photo."""
    if config.output.suffix.lower() != SUFFIX:
        raise UserError(f"{config.output} does not end in {SUFFIX}; choose an output name that does")
    if config.face == "all":
        raise UserError("a motion file holds one face; give --face largest or a number")
    leave_a_core()
    animator = Animator.load(config.weights, config.device, config.precision)
    with replacing(config.output) as file, open_driver(config.driver, config.seconds) as driver:
        motion = extract(animator, driver, config.face, Stopwatch(), progress=True)[0].motion
        motion.save(file)
    print(f"wrote {config.output}: {len(motion)} frames, {int(motion.present.sum())} with a face")

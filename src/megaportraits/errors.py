"""The one exception that means "the input is wrong", not "the program is wrong"."""


class UserError(Exception):
    """Bad input, told in one sentence: what came, what was wanted, what to do.

    The command line prints the sentence and exits with code 2, without a traceback.
    """

"""`python -m keras_alexnet` is the command `keras-alexnet`."""

import sys


def main():
    """Run the command line; Ctrl-C is answered from the first moment on.

    Returns:
        The exit code, as of `cli.main.main`.
    """
    try:
        from keras_alexnet.environment import raised_signals

        with raised_signals():
            from keras_alexnet.cli.main import main

            return main()
    except KeyboardInterrupt as stop:
        from keras_alexnet.terminal import say

        say(f"keras-alexnet: {str(stop) or 'interrupted'}", file=sys.stderr)
        return getattr(stop, "exit_code", 130)
    finally:
        _pass_over_one()


def _pass_over_one():
    """A second Ctrl-C, pressed in haste, leaves `atexit` handlers their time.

    One more ends the process, without a traceback, also where they hang.
    """
    import signal

    def pass_over(number, _):
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, pass_over)


if __name__ == "__main__":
    sys.exit(main())

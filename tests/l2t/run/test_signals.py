import os
import signal

import pytest

from l2t.run.signals import ENDING, StopSignals, exit_on_signals


def send(signum):
    os.kill(os.getpid(), signum)


@pytest.fixture(autouse=True)
def handlers(heeds_hangups):
    """The process's own handlers, before and after: nothing may be left installed."""
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, *ENDING)}
    yield before
    assert {signum: signal.getsignal(signum) for signum in before} == before


@pytest.mark.parametrize("signum", [signal.SIGINT, *ENDING])
def test_the_first_signal_is_remembered_and_named(signum, capfd):
    with StopSignals("writing it down") as stop:
        assert stop.signum is None
        send(signum)
        assert stop.signum == signum
    assert f"{signum.name}: writing it down" in capfd.readouterr().err


def test_only_a_second_interruption_breaks_off():
    with StopSignals() as stop:
        for signum in (signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1):
            send(signum)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)
    assert stop.signum == signal.SIGUSR1


@pytest.mark.parametrize("held", [StopSignals, exit_on_signals])
def test_a_hang_up_that_is_ignored_stays_ignored(held):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with held() as stop:
            send(signal.SIGHUP)
        assert stop is None or stop.signum is None
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("signum", ENDING)
def test_a_signal_becomes_an_exit_on_which_everything_is_closed(signum):
    closed = []

    def work():
        try:
            send(signum)
        finally:
            closed.append(True)

    with pytest.raises(SystemExit) as left, exit_on_signals():
        work()
    assert left.value.code == 128 + signum
    assert closed


def test_an_exit_that_a_callback_has_turned_into_an_error_is_still_an_exit():
    def program_of_jax():
        try:
            send(signal.SIGTERM)
        except SystemExit as error:
            raise RuntimeError("INTERNAL: callback failed") from error

    with pytest.raises(SystemExit) as left, exit_on_signals():
        program_of_jax()
    assert left.value.code == 128 + signal.SIGTERM


def test_any_other_error_passes():
    with pytest.raises(ZeroDivisionError), exit_on_signals():
        _ = 1 / 0

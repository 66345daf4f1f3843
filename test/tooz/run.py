"""Runs tooz's tests of a driver, as they are installed, on TOOZ_TEST_URL. Writes one line of JSON for each."""

import json
import signal
import sys
import unittest

from tooz.tests import test_coordination
from tooz.tests import test_partitioner

import bridge

LIMIT_S = 60


class Outcomes(unittest.TestResult):
    def startTest(self, test):
        super().startTest(test)
        signal.alarm(LIMIT_S)

    def stopTest(self, test):
        signal.alarm(0)
        super().stopTest(test)

    def addSuccess(self, test):
        _tell(test, "passed")

    def addSkip(self, test, reason):
        _tell(test, "skipped", reason)

    def addFailure(self, test, err):
        _tell(test, "failed", self._exc_info_to_string(err, test))

    addError = addFailure


def _tell(test, outcome, why=""):
    name = ".".join(test.id().split(".")[-2:])
    sys.stdout.write(json.dumps({"test": name, "outcome": outcome, "why": why}) + "\n")
    sys.stdout.flush()


class TooLate(Exception):
    """A test was not over in time."""


def _too_late(_signal, _frame):
    raise TooLate("not over after %s s" % LIMIT_S)


signal.signal(signal.SIGALRM, _too_late)
loader = unittest.TestLoader()
for tests in (test_coordination.TestAPI, test_partitioner.TestPartitioner):
    loader.loadTestsFromTestCase(tests).run(Outcomes())
# Not 0 where it could not close what the tests have left, or something escaped.
sys.exit(bridge.bridge().end())

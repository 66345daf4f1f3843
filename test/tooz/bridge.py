"""The Node process that speaks conclave: one for each process that uses the driver."""

from concurrent import futures
import itertools
import json
import os
import subprocess
import threading


class Refused(Exception):
    """What a call has ended with, in conclave's own words."""

    def __init__(self, name, message):
        super().__init__("%s: %s" % (name, message))
        self.name = name


class BridgeEnded(Exception):
    """The Node process is gone, and with it every answer that was waited for."""


class Bridge:
    """Asks in lines of JSON, from any thread, and is answered in any order."""

    def __init__(self, command):
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._awaited = {}
        self._has_ended = False
        threading.Thread(target=self._read, daemon=True).start()

    def ask(self, coordinator, verb, *args, timeout=None):
        """The result; raises Refused, BridgeEnded, or TimeoutError."""
        answer = futures.Future()
        with self._lock:
            if self._has_ended:
                raise BridgeEnded()
            call_id = next(self._ids)
            self._awaited[call_id] = answer
            call = {"id": call_id, "coordinator": coordinator,
                    "verb": verb, "args": args}
            self._process.stdin.write(json.dumps(call).encode() + b"\n")
        return answer.result(timeout=timeout)

    def end(self):
        """Returns its exit code, when everything is closed."""
        self._process.stdin.close()
        return self._process.wait()

    def forget(self):
        """In the child of a fork, whose parent goes on with it."""
        self._process.stdin.close()
        self._process.stdout.close()

    def _read(self):
        for line in self._process.stdout:
            answer = json.loads(line)
            with self._lock:
                awaited = self._awaited.pop(answer["id"])
            if "error" in answer:
                awaited.set_exception(Refused(**answer["error"]))
            else:
                awaited.set_result(answer.get("result"))
        with self._lock:
            self._has_ended = True
            left = list(self._awaited.values())
        for awaited in left:
            awaited.set_exception(BridgeEnded())


_bridge = None
_making = threading.Lock()


def bridge():
    """The one of this process, begun when it is first needed."""
    global _bridge
    with _making:
        if _bridge is None:
            _bridge = Bridge(json.loads(os.environ["CONCLAVE_TOOZ_BRIDGE"]))
        return _bridge


def _begin_anew():
    global _bridge, _making
    if _bridge is not None:
        _bridge.forget()
    _bridge = None
    _making = threading.Lock()


os.register_at_fork(after_in_child=_begin_anew)

"""A driver of tooz over conclave.

conclave+redis://127.0.0.1:6379/name coordinates over redis://127.0.0.1:6379 in the namespace `name`; so do conclave+etcd://
and conclave+zookeeper://. conclave+memory:///name is the store `name` of this process. With `timeout`, in seconds, who does not
beat for so long is out of everything. A backend renews its session as long as its process runs, which is Node's; a beat shows
that Python's runs as well. Other options are conclave's own.
"""

import contextlib
from concurrent import futures
import urllib.parse

import tooz
from tooz import coordination
from tooz import locking
from tooz import utils

import bridge

# From one beat to the next, where none is late: any time will do.
UNHURRIED_S = 30


class ConclaveLock(locking.Lock):
    """Each acquisition is a grant of its own: shared ones add up, and each release gives the latest one up."""

    def __init__(self, driver, name):
        super().__init__(name)
        self._driver = driver
        self._grants = []

    def acquire(self, blocking=True, shared=False):
        grant = self._driver.ask("acquire", _text(self.name), blocking, shared)
        if grant is None:
            return False
        self._grants.append(grant)
        return True

    def release(self):
        try:
            grant = self._grants.pop()
        except IndexError:
            return False
        return self._driver.ask("release", grant)

    def break_(self):
        return self._driver.ask("breakLock", _text(self.name))

    def is_still_owner(self):
        return any(self._driver.ask("isHeld", grant) for grant in list(self._grants))


class ConclaveDriver(coordination.CoordinationDriverWithExecutor):
    """Speaks for one member. What a group's calls ask for is done one after the other; locks wait beside each other."""

    def __init__(self, member_id, parsed_url, options):
        super().__init__(member_id, parsed_url, options)
        self._timeout = float(self._options["timeout"]) if "timeout" in self._options else None
        self._url = _conclave_url(parsed_url, self._options)
        self._coordinator = None
        # The last lead of each group that has been announced.
        self._announced = {}
        self.CHARACTERISTICS = _characteristics(parsed_url)

    def ask(self, verb, *args, group_id=None, member_id=None, timeout=None):
        """The result of one of the coordinator's verbs, in Node."""
        if self._coordinator is None:
            raise tooz.ToozError("The driver has not been started")
        with _in_words_of_tooz(group_id, member_id):
            return bridge.bridge().ask(self._coordinator, verb, *args, timeout=timeout)

    def _start(self):
        with _in_words_of_tooz():
            self._coordinator = bridge.bridge().ask(
                None, "connect", self._url, _text(self._member_id), self._timeout)
        self._announced = {}

    def _stop(self):
        self.ask("close")
        self._coordinator = None

    def heartbeat(self):
        self.ask("beat")
        return self._timeout or UNHURRIED_S

    def _submit(self, call):
        return coordination.CoordinatorResult(self._executor.submit(call))

    # Groups.

    def create_group(self, group_id):
        return self._submit(lambda: self.ask("createGroup", _text(group_id), group_id=group_id))

    def delete_group(self, group_id):
        return self._submit(lambda: self.ask("deleteGroup", _text(group_id), False, group_id=group_id))

    def _destroy_group(self, group_id):
        self.ask("deleteGroup", _text(group_id), True, group_id=group_id)

    def get_groups(self):
        return self._submit(lambda: [_binary(group) for group in self.ask("groups")])

    def join_group(self, group_id, capabilities=b""):
        def join():
            self.ask("join", _text(group_id), _dumped(capabilities), group_id=group_id, member_id=self._member_id)
            self._joined_groups.add(group_id)

        return self._submit(join)

    def leave_group(self, group_id):
        def leave():
            self._joined_groups.discard(group_id)
            self.ask("leave", _text(group_id), group_id=group_id, member_id=self._member_id)

        return self._submit(leave)

    def update_capabilities(self, group_id, capabilities):
        return self._submit(lambda: self.ask(
            "update", _text(group_id), _dumped(capabilities), group_id=group_id, member_id=self._member_id))

    def get_members(self, group_id):
        return self._submit(lambda: {
            _binary(member) for member in self.ask("members", _text(group_id), group_id=group_id)})

    def get_member_capabilities(self, group_id, member_id):
        return self._submit(lambda: self._member(group_id, member_id)["capabilities"])

    def get_member_info(self, group_id, member_id):
        return self._submit(lambda: self._member(group_id, member_id))

    def _member(self, group_id, member_id):
        member = self.ask("member", _text(group_id), _text(member_id), group_id=group_id, member_id=member_id)
        return {"capabilities": _loaded(member["capabilities"]), "token": int(member["token"])}

    # Watchers: conclave tells what happens, and `run_watchers` passes on what it has told until then.

    def watch_join_group(self, group_id, callback):
        self._watch(group_id)
        super().watch_join_group(group_id, callback)

    def unwatch_join_group(self, group_id, callback):
        super().unwatch_join_group(group_id, callback)
        self._unwatch(group_id)

    def watch_leave_group(self, group_id, callback):
        self._watch(group_id)
        super().watch_leave_group(group_id, callback)

    def unwatch_leave_group(self, group_id, callback):
        super().unwatch_leave_group(group_id, callback)
        self._unwatch(group_id)

    def _watch(self, group_id):
        if not self._has_hooks_for_group(group_id):
            self.ask("watch", _text(group_id), group_id=group_id)

    def _unwatch(self, group_id):
        if not self._has_hooks_for_group(group_id):
            self.ask("unwatch", _text(group_id), group_id=group_id)

    def run_watchers(self, timeout=None):
        results = []
        for group_id in set(self._hooks_join_group) | set(self._hooks_leave_group):
            for change in self.ask("changes", _text(group_id), group_id=group_id, timeout=timeout):
                results.extend(self._run_hooks(group_id, change))
        self.run_elect_coordinator()
        return results

    def _run_hooks(self, group_id, change):
        for member_id in map(_binary, change["left"]):
            if member_id == self._member_id:
                self._joined_groups.discard(group_id)
            event = coordination.MemberLeftGroup(group_id, member_id)
            yield from self._hooks_leave_group.get(group_id, coordination.Hooks()).run(event)
        for member_id in map(_binary, change["joined"]):
            event = coordination.MemberJoinedGroup(group_id, member_id)
            yield from self._hooks_join_group.get(group_id, coordination.Hooks()).run(event)

    # Elections: who watches for being elected stands from the next `run_watchers` on.

    def unwatch_elected_as_leader(self, group_id, callback):
        super().unwatch_elected_as_leader(group_id, callback)
        if group_id not in self._hooks_elected_leader:
            self.ask("withdraw", _text(group_id))

    def run_elect_coordinator(self):
        for group_id, hooks in list(self._hooks_elected_leader.items()):
            lead = self.ask("elect", _text(group_id), group_id=group_id)
            if lead is not None and self._announced.get(group_id) != lead:
                self._announced[group_id] = lead
                hooks.run(coordination.LeaderElected(group_id, self._member_id))

    def stand_down_group_leader(self, group_id):
        return self.ask("standDown", _text(group_id), group_id=group_id)

    def get_leader(self, group_id):
        def leader():
            member = self.ask("leader", _text(group_id), group_id=group_id)
            return None if member is None else _binary(member)

        return self._submit(leader)

    # Locks.

    def get_lock(self, name):
        return ConclaveLock(self, name)


def _conclave_url(parsed_url, options):
    store = parsed_url.scheme.partition("+")[2]
    namespace = parsed_url.path.strip("/")
    known = {name: value for name, value in options.items() if name not in ("timeout", "executor")}
    if "timeout" in options:
        # Nor does the store keep for longer whose process is gone.
        known["ttlMs"] = int(float(options["timeout"]) * 1000)
    if store != "memory" and namespace:
        known["namespace"] = namespace
    place = namespace if store == "memory" else "//" + parsed_url.netloc
    query = urllib.parse.urlencode(known)
    return "%s:%s%s" % (store, place, query and "?" + query)


def _characteristics(parsed_url):
    known = coordination.Characteristics
    if parsed_url.scheme == "conclave+memory":
        return (known.DISTRIBUTED_ACROSS_THREADS,)
    return (known.DISTRIBUTED_ACROSS_THREADS, known.DISTRIBUTED_ACROSS_PROCESSES, known.DISTRIBUTED_ACROSS_HOSTS)


@contextlib.contextmanager
def _in_words_of_tooz(group_id=None, member_id=None):
    try:
        yield
    except bridge.Refused as refused:
        raise _words_of_tooz(refused, group_id, member_id) from refused
    except bridge.BridgeEnded as ended:
        raise coordination.ToozConnectionError("The process that speaks conclave is gone") from ended
    except futures.TimeoutError as late:
        raise coordination.OperationTimedOut("conclave has not answered in time") from late


def _words_of_tooz(refused, group_id, member_id):
    known = {
        "ConnectionRefused": lambda: coordination.ToozConnectionError(str(refused)),
        "GroupAlreadyExists": lambda: coordination.GroupAlreadyExist(group_id),
        "GroupNotEmpty": lambda: coordination.GroupNotEmpty(group_id),
        "GroupNotFound": lambda: coordination.GroupNotCreated(group_id),
        "MemberAlreadyExists": lambda: coordination.MemberAlreadyExist(group_id, member_id),
        "MemberNotJoined": lambda: coordination.MemberNotJoined(group_id, member_id),
    }
    return known.get(refused.name, lambda: tooz.ToozError(str(refused)))()


def _text(name):
    return name.decode() if isinstance(name, bytes) else name


def _binary(name):
    return name.encode()


def _dumped(capabilities):
    # As tooz's own drivers write them, in text.
    return utils.dumps(capabilities).decode("latin-1")


def _loaded(capabilities):
    return utils.loads(capabilities.encode("latin-1"))

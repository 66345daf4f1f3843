/**
 * @typedef {object} Weakening
 * @property {string} what For people.
 * @property {readonly { readonly file: string, readonly from: string, readonly to: string }[]} edits
 */

/**
 * What is taken out of the library, one part at a time, to see what that part prevents.
 *
 * @type {Readonly<Record<string, Weakening>>}
 */
export const weakenings = {
  'deadline-from-reply': {
    what: 'the deadline counted from when a renewal was sent (from its reply instead)',
    edits: [
      {
        file: '/src/backends/kernel/lease.ts',
        from: 'Math.max(this.#provedMs, provedMs);',
        to: 'Math.max(this.#provedMs, this.context.clock.now());',
      },
    ],
  },
  'suspensions-forgotten': {
    what: 'suspensions added up since the last proof (each forgotten at the next look, if it was short, instead)',
    edits: [
      {
        file: '/src/backends/kernel/clock.ts',
        from: 'return Math.max(0, aheadMs - this.#leastSince(sinceMs));',
        to: 'const leastMs = this.#leastSince(sinceMs);\n    for (const mark of this.#marks) mark.leastAheadMs = aheadMs;\n    return aheadMs - leastMs > 50 ? aheadMs - leastMs : 0;',
      },
    ],
  },
  'suspensions-uncounted': {
    what: 'time counted in which the machine was suspended (what the monotonic clock says instead)',
    edits: [
      {
        file: '/src/backends/kernel/lease.ts',
        from: '(nowMs - this.#provedMs) - this.suspensions.aheadMs(this.#provedMs, nowMs);',
        to: '(nowMs - this.#provedMs);',
      },
    ],
  },
  'work-begun-after-its-end': {
    what: 'withLock asking, when its work has been made, whether it has ended meanwhile',
    edits: [
      {
        file: '/src/observables/holding/guarded.ts',
        from: 'if (subscriber.closed || (isClosing && !isPromise)) {',
        to: 'if (subscriber.isStopped === undefined) {',
      },
    ],
  },
  'releases-counted-twice': {
    what: 'each user of a named memory store counted once',
    edits: [
      {
        file: '/src/backends/memory/index.ts',
        from: 'closed ??= ending.finally(release);',
        to: 'closed = ending.finally(release);',
      },
      {
        file: '/src/backends/memory/index.ts',
        from: 'if (entry.users.delete(user) && entry.users.size === 0)',
        to: 'if ((entry.users.delete(user) || entry.users.delete([...entry.users][0] ?? user)) && entry.users.size === 0)',
      },
    ],
  },
  'writes-forgotten': {
    what: 'the outcome of a write kept under its id',
    edits: [
      {
        file: '/src/backends/memory/memory-store.ts',
        from: 'if (session.written.has(writeId)) return done;',
        to: '',
      },
    ],
  },
  'completed-before-settled': {
    what: 'the stream of guarded work going on through close() until that has settled',
    edits: [
      {
        file: '/src/backends/kernel/participation.ts',
        from: 'this.#leaveBecause(new BackendClosed(this.context.name), !this.#isGuarding);',
        to: 'this.#leaveBecause(new BackendClosed(this.context.name), true);',
      },
    ],
  },
  'gate-opens-unasked': {
    what: 'a gate asking for due losses before it opens',
    edits: [
      {
        file: '/src/operators/while-true.ts',
        from: 'isAsking = true;\n        tellDueLosses();',
        to: 'isAsking = true;',
      },
    ],
  },
  'rejoining-shown-as-absence': {
    what: 'sets of members that leave nobody out (one without whoever has joined again before each instead)',
    edits: [
      {
        file: '/src/observables/groups/members.ts',
        from: 'distinctUntilChanged(sameMembers), map(idsOf));',
        to:
          'distinctUntilChanged(sameMembers), (maps$) => new Observable((subscriber) => { let before = new Map();\n' +
          'return maps$.subscribe({ next: (now) => { const stayed = [...now.keys()].filter((id) => !before.has(id) || before.get(id).token === now.get(id).token);\n' +
          'if (stayed.length < now.size) subscriber.next(new Set(stayed)); before = now; subscriber.next(idsOf(now)); }, error: (error) => subscriber.error(error), complete: () => subscriber.complete() }); }));',
      },
      {
        file: '/src/observables/groups/members.ts',
        from: 'import { distinctUntilChanged, map, type Observable }',
        to: 'import { distinctUntilChanged, Observable }',
      },
    ],
  },
  'validity-by-timer': {
    what: 'the clock asked on each use (validity left to the timer of the deadline instead)',
    edits: [
      {
        file: '/src/backends/kernel/lease.ts',
        from: 'check(): boolean {',
        to: 'check(): boolean {\n    return !this.#over;\n  }\n\n  checkOnTime(): boolean {',
      },
      {
        file: '/src/backends/kernel/lease.ts',
        from: 'if (this.check()) this.#armDeadline();',
        to: 'if (this.checkOnTime()) this.#armDeadline();',
      },
    ],
  },
  'plain-read-as-heartbeat': {
    what: 'ZooKeeper heartbeats that are writes and are proved (plain reads, whose last answer counts, instead)',
    edits: [
      {
        file: '/src/backends/zookeeper/link.ts',
        from: 'connection.beat(this.options.layout.heartbeat)',
        to: "connection.exists('/zookeeper')",
      },
      {
        file: '/src/backends/zookeeper/proof.ts',
        from: "return this.#role !== 'leader' && this.#role !== 'standalone';",
        to: 'return false;',
      },
    ],
  },
  'keepalive-as-proof': {
    what: 'the term and the linearizable read after each keepalive of etcd (any answer to a keepalive counts instead)',
    edits: [
      {
        file: '/src/backends/etcd/session-lease.ts',
        from: 'if (term !== held.term) return this.#replace();',
        to: 'if (term !== undefined) return of(this.#proved(sentMs, ttlMs));',
      },
    ],
  },
  'history-by-run-id': {
    what: 'who wrote the data last, promotions included, and its count compared with what each client was told (run_id, and for how long that has been up, instead)',
    edits: [
      {
        file: '/src/backends/redis/prelude.ts',
        from: "era, up = run .. ':' .. promoted .. ':' .. offset, 0",
        to: '',
      },
      {
        file: '/src/backends/redis/prelude.ts',
        from: 'elseif not isSame then\n',
        to: 'elseif not isSame then\n    rest = rest - up\n',
      },
      {
        file: '/src/backends/redis/prelude.ts',
        from: "local isKept = knownId == ''",
        to: "local isKept = true or knownId == ''",
      },
    ],
  },
  'deposed-server-kept': {
    what: 'connections made anew when their server takes no writes (asked again and again on the same one instead)',
    edits: [
      {
        file: '/src/backends/redis/failures.ts',
        from: 'isMoved(cause) ||\n    (isReply(cause) &&',
        to: 'isMoved(cause) ||\n    (false && isReply(cause) &&',
      },
    ],
  },
  'items-owned-by-plan': {
    what: 'an item worked for under its lock (as soon as the plan says so instead)',
    edits: [
      {
        file: '/src/observables/sharing/sharing.ts',
        from: 'itemLockName(group, item), { data',
        to: "itemLockName(group, item) + '/' + id, { data",
      },
    ],
  },
  'items-moved-unsettled': {
    what: 'an item released when its work has settled (as soon as it moves instead)',
    edits: [
      {
        file: '/src/observables/sharing/sharing.ts',
        from: 'concat(beforeLeave(), ',
        to: 'concat(',
      },
    ],
  },
};

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
        file: '/src/backends/lease.ts',
        from: 'Math.max(this.#provedMs, provedMs);',
        to: 'Math.max(this.#provedMs, this.context.clock.now());',
      },
    ],
  },
  'validity-by-timer': {
    what: 'the clock asked on each use (validity left to the timer of the deadline instead)',
    edits: [
      {
        file: '/src/backends/lease.ts',
        from: 'check(): boolean {',
        to: 'check(): boolean {\n    return !this.#over;\n  }\n\n  checkOnTime(): boolean {',
      },
      {
        file: '/src/backends/lease.ts',
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
        from: 'connection.remove(this.options.layout.heartbeat)',
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
};

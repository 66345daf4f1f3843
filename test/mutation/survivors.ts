/** Why the tests need not notice some changes. */
export interface Explanation {
  readonly why: string;
  /** By file, each in the words in which the run tells it. */
  readonly mutants: Readonly<Record<string, readonly string[]>>;
}

export const explanations: readonly Explanation[] = [
  {
    why: 'For the compiler only: where the question is not asked, the next one has the same answer, or throws where the first was to lead to an error of the same kind.',
    mutants: {
      'src/backends/kernel/create-backend.ts': [
        '[-b !== undefined-]{+true+} && a.id === b.id && a.token === b.token && a.mode === b.mode && sameBytes(a.payload, b.payload)',
      ],
      'src/backends/shared/url.ts': [
        'if ([-match === null || host === undefined-]{+match === null && host === undefined+}) return undefined;',
        'if ([-match === null-]{+false+} || host === undefined) return undefined;',
        'if (match === null || [-host === undefined-]{+false+}) return undefined;',
      ],
      'src/backends/errors.ts': ["this.address = [-typeof store === 'string'-]{+false+} ? undefined : store.address;"],
      'src/backends/kernel/sharded-backend.ts': [
        "return [-session.state === 'live'-]{+true+} ? (session.barredMs ?? 0) : 0;",
      ],
      'src/backends/kernel/session.ts': [
        "if (this.#isFirst && [-state.state === 'connecting'-]{+true+})",
        '[-this.#running?.unsubscribe-]{+this.#running.unsubscribe+}();',
        '[-this.#running?.unsubscribe-]{+this.#running.unsubscribe+}();',
      ],
      'src/observables/holding/contender.ts': [
        'if ([-b === undefined-]{+false+} || a.id !== b.id || a.token !== b.token || a.mode !== b.mode) return false;',
      ],
      'src/observables/groups/member-map.ts': [
        "[-typeof value === 'object' && value !== null && 'id' in value-]{+true+} &&",
        "[-typeof value === 'object' && value !== null && 'id' in value-]{+typeof value === 'object' && value !== null || 'id' in value+} &&",
        "[-typeof value === 'object' && value !== null-]{+true+} &&",
        "[-typeof value === 'object' && value !== null-]{+typeof value === 'object' || value !== null+} &&",
        "[-typeof value === 'object'-]{+true+} &&",
        '[-value !== null-]{+true+} &&',
      ],
      'src/observables/holding/settling.ts': [
        'const end$ = defer(() => [-iterator?.return?.()-]{+iterator?.return()+} ?? EMPTY);',
        'const end$ = defer(() => [-iterator?.return-]{+iterator.return+}?.() ?? EMPTY);',
        'if ([-iterator?.return-]{+iterator.return+} === undefined) {',
        "return [-canHaveFields(input) && 'then' in input-]{+true+} && typeof input.then === 'function';",
      ],
      'src/observables/elections/leadership-state.ts': [
        "if ([-a.state === 'unknown' || b.state === 'unknown'-]{+false+}) return a.state === b.state;",
        "if ([-a.state === 'unknown' || b.state === 'unknown'-]{+a.state === 'unknown' && b.state === 'unknown'+}) return a.state === b.state;",
        "if ([-a.state === 'unknown'-]{+false+} || b.state === 'unknown') return a.state === b.state;",
        "if (a.state === 'unknown' || [-b.state === 'unknown'-]{+false+}) return a.state === b.state;",
        "if ([-a.state !== 'follower' || b.state !== 'follower'-]{+a.state !== 'follower' && b.state !== 'follower'+}) return true;",
        "if ([-a.state !== 'follower'-]{+false+} || b.state !== 'follower') return true;",
        "if (a.state !== 'follower' || [-b.state !== 'follower'-]{+false+}) return true;",
      ],
    },
  },
  {
    why: 'For the compiler only: one comes so far with a signal only, with a payload that waits to be written, with a ring that is known, with a `waitMs` where a lock was not acquired in time, with `InvalidPayload` where something cannot be encoded, and with a first part where a field was read.',
    mutants: {
      'src/backends/kernel/participation.ts': ['return [-payload === undefined-]{+false+}'],
      'src/observables/holding/with-data.ts': [
        "if ([-!isError<InvalidPayload>(error, 'InvalidPayload')-]{+false+}) throw error;",
      ],
      'src/observables/locks/lock-all.ts': [
        "[-waitMs !== undefined-]{+true+} && isError<LockNotAcquired>(error, 'LockNotAcquired')",
      ],
      'src/observables/locks/lock-name.ts': [
        'const [whole, first, rest = \'\'] = read(FIELD) ?? [-[]-]{+["Stryker was here"]+};',
        'if ([-whole === undefined || first === undefined-]{+whole === undefined && first === undefined+}) throw new InvalidTemplate(text, misread(text, at));',
        'if ([-whole === undefined-]{+false+} || first === undefined) throw new InvalidTemplate(text, misread(text, at));',
        'if (whole === undefined || [-first === undefined-]{+false+}) throw new InvalidTemplate(text, misread(text, at));',
      ],
      'src/operators/owned-by.ts': ['filter((item) => [-ring?.ownerOf-]{+ring.ownerOf+}(keyOf(item)) === id),'],
      'src/observables/session/close-on-signals.ts': [
        'if ([-signal !== undefined-]{+true+} && process.listenerCount(signal) === 0) process.kill(process.pid, signal);',
      ],
    },
  },
  {
    why: 'What is set here is set again before it is read.',
    mutants: {
      'src/observables/elections/reentering.ts': ['let wasLost = [-false-]{+true+};'],
      'src/observables/holding/settling.ts': ['let isUnderWay = [-false-]{+true+};'],
      'src/operators/while-true.ts': ['let isTrue = [-false-]{+true+};'],
      'src/operators/while-locked.ts': [
        'let isOpen = [-(): boolean => false-]{+() => undefined+};',
        'let isOpen = (): boolean => [-false-]{+true+};',
        'let isLost = [-false-]{+true+};',
      ],
      'src/operators/while-member.ts': [
        'let isOpen = [-(): boolean => false-]{+() => undefined+};',
        'let isOpen = (): boolean => [-false-]{+true+};',
      ],
    },
  },
  {
    why: 'The two cannot differ: data that is there is never `undefined`; members are compared under their id; one’s own entry has one’s own owner, and no two entries of a line have the same token.',
    mutants: {
      'src/observables/holding/contender.ts': [
        "return a.data._tag === 'Some' ? [-b.data._tag === 'Some'-]{+true+} && a.data.value === b.data.value : b.data._tag === 'None';",
        "data: [-value._tag === 'Some'-]{+true+} && value.value !== undefined ? value : none,",
      ],
      'src/observables/groups/join.ts': [
        'entries.some(({ entry, record }) => record.id === id && record.owner !== owner && [-entry.token < mine.token-]{+entry.token <= mine.token+});',
      ],
      'src/observables/elections/designation.ts': [
        'return !line.some((entry) => entry.id === id) && line.some((entry) => [-entry.token > token-]{+entry.token >= token+});',
      ],
      'src/observables/elections/incarnation.ts': [
        'if (others.some((other) => [-sinceOf(other) > since-]{+sinceOf(other) >= since+})) throw new CandidateReplaced(election, identity);',
      ],
    },
  },
  {
    why: 'Asked for in two places, each of which is enough: who is told the loss is over before anything else says `SessionLost`, who is over does not fail, leave or stand any more, a lease is lost only once and after it was live, who asks for a lease passes over one that is over, a backend that is being closed has stopped all it runs before it would open another session; a place is given up once, however often its candidate is told to; who has unsubscribed is told of no further grant; and a backend that drains or closes lets nobody enter, whether or not `exclusiveMap` asks it.',
    mutants: {
      'src/backends/kernel/participation.ts': [
        'if ([-this.#isOver-]{+false+}) return;',
        'if ([-this.#isOver-]{+false+}) return;',
        'if ([-!this.#isLeaving && !(error instanceof SessionLost)-]{+true+}) this.#fail(error);',
        'if ([-!this.#isLeaving && !(error instanceof SessionLost)-]{+!this.#isLeaving || !(error instanceof SessionLost)+}) this.#fail(error);',
        'this.#isLeaving = [-true-]{+false+};',
        'this.#isOver = [-true-]{+false+};',
        'else if ([-!(error instanceof SessionLost)-]{+true+}) this.#fail(error);',
        'if ([-!(error instanceof SessionLost)-]{+true+}) this.#fail(error);',
        'if ([-this.#isOver-]{+false+}) return;',
      ],
      'src/backends/kernel/session.ts': [
        'if ([-!lease.isOver-]{+true+}) current.next(lease);',
        'if ([-this.#isClosed || running.closed-]{+false+}) return;',
        'if ([-this.#isClosed || running.closed-]{+this.#isClosed && running.closed+}) return;',
      ],
      'src/observables/elections/standing.ts': [
        'if ([-left !== undefined-]{+false+}) return left;',
        'if ([-subscriber.closed-]{+false+}) return leave(place);',
        'if ([-beforeLeave !== undefined-]{+true+}) leave(place).subscribe(mine);',
      ],
      'src/observables/locks/lock-all.ts': ['if ([-subscriber.closed-]{+false+}) return;'],
      'src/operators/exclusive-map.ts': [
        'isOver = [-true-]{+false+};',
        'tap(() => [-{ isOver = true; }-]{+{}+}),',
        'isOver = [-true-]{+false+};',
      ],
    },
  },
  {
    why: 'Nothing comes of it: a lease that is over has ended its link and its renewals, and has no time left; the error of an enter that is being taken back is told to nobody.',
    mutants: {
      'src/backends/kernel/lease.ts': [
        'if ([-this.#over-]{+false+}) return;',
        ': throwError([-() => error-]{+() => undefined+});',
      ],
    },
  },
  {
    why: 'The same without it: what is not said, or not returned, is `undefined`; a line without one’s own entry tells nothing, whoever is in it; an empty user is none; hosts of which nothing is there are one empty part; the first colon is found from wherever before it one looks.',
    mutants: {
      'src/backends/kernel/create-backend.ts': [
        'await lastValueFrom(drainMs === 0 ? goodbye : concat(drained(drainMs), goodbye), [-{ defaultValue: undefined }-]{+{}+});',
      ],
      'src/backends/shared/keys.ts': ['} catch [-{ return undefined; }-]{+{}+}'],
      'src/observables/elections/designation.ts': ['} catch [-{ return undefined; }-]{+{}+}'],
      'src/observables/elections/leadership-state.ts': [
        'const line$ = candidates(backend, election).pipe(startWith([-[]-]{+["Stryker was here"]+}));',
      ],
      'src/backends/shared/url.ts': [
        "const [username, password] = [-at < 0-]{+at <= 0+} ? [] : splitOnce(authority.slice(0, at), ':');",
        "if ([-part === ''-]{+true+} && authority.slice(at + 1) === '') break;",
        "return text.replace([-/^([^:]*:\\/{0,2}).*@/s-]{+/([^:]*:\\/{0,2}).*@/s+}, '$1***@');",
      ],
    },
  },
  {
    why: 'No name comes that far: `checkName` refuses half a surrogate pair.',
    mutants: {
      'src/backends/shared/keys.ts': [
        'return (code > 0x1f && code < 0x7f) || (code > 0x9f && [-code < 0xd800-]{+code <= 0xd800+}) || (code > 0xf8ff && code < 0xfff0);',
      ],
    },
  },
  {
    why: 'It only saves: a copy of each entry where no base of tokens is added, a layer around a single shard, and looking at the state of a shard once more each time it is used. No test here counts that.',
    mutants: {
      'src/backends/kernel/create-backend.ts': [
        'const shown = (entry: Entry): Entry => ([-tokenBase === 0n-]{+false+} ? entry : { ...entry, token: entry.token + tokenBase });',
      ],
      'src/backends/kernel/sharded-backend.ts': [
        'return [-count === 1-]{+false+}',
        'if ([-!used$.value.has(shard)-]{+true+}) used$.next(new Set(used$.value).add(shard));',
      ],
    },
  },
  {
    why: 'Of two names that are as long, either may be called the longer one: they are compared in the same way both ways round.',
    mutants: {
      'src/backends/shared/expectations.ts': [
        'const [long, short] = [-a.length > b.length-]{+a.length >= b.length+} ? [a, b] : [b, a];',
      ],
    },
  },
  {
    why: 'Equivalent: a field that is required, but not among those that are expected, is never asked for.',
    mutants: {
      'src/backends/shared/expectations.ts': [
        'required: readonly string[] = [-[]-]{+["Stryker was here"]+},',
        'required: readonly string[] = [-[]-]{+["Stryker was here"]+},',
        'required: readonly string[] = [-[]-]{+["Stryker was here"]+},',
      ],
    },
  },
];

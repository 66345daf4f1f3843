import {
  catchError,
  defer,
  finalize,
  forkJoin,
  map,
  type Observable,
  of,
  ReplaySubject,
  switchMap,
  tap,
  throwError,
} from 'rxjs';
import { toUtf8 } from '../shared/utf8.js';
import type { StoreContext } from '../store.js';
import type { Answer, Connection, Step } from './connection.js';
import { Code, onRefusal, Refused } from './failures.js';
import type { Layout } from './layout.js';
import type { Parents } from './parents.js';

/** How many notes that are not in use stay for the writes to come. */
const MOST_FREE = 8;

/** An ephemeral node that tells of one write at a time: its id, and how it came out. */
interface Note {
  readonly path: string;
  /** The node's version as it must be for the next write; `undefined` where there is no node yet. */
  version: number | undefined;
  /** Copies of a write that is over may still be on their way, which must go on finding this node and its version taken. */
  isDisputed: boolean;
}

interface Write {
  note: Note | undefined;
  /** How many transactions were sent for it and not answered: each may have happened, or may happen yet. */
  unanswered: number;
  /** One was sent while another was unanswered. Only the note tells which of them counted. */
  isRepeated: boolean;
  isUnderWay: boolean;
  /** How it came out, until somebody has heard of it: who asks may have given up waiting a moment before. */
  answered: string | undefined;
  /** Since when nobody has waited for it. */
  restingMs: number;
}

/** Carries out the steps and keeps the outcome, all or nothing. Emits the answers to the steps. */
export type Commit = (outcome: string, steps: readonly Step[]) => Observable<readonly Committed[]>;

export interface Committed extends Answer {
  /** The transaction, where the answer tells it: a note that is written does, one that is made does not. */
  readonly zxid: bigint | undefined;
}

/** What is done about one write. */
export interface WriteAct<T> {
  /** For messages. */
  readonly operation: string;
  /** Looks, and commits what it concludes, even that there is nothing to do. What refuses its steps is left to it. */
  attempt(commit: Commit): Observable<T>;
  /** What to answer where it is known how the write came out. */
  recall(outcome: string): Observable<T>;
}

/**
 * How the writes of one session came out, kept in the store in the same transaction as the write. Each write that is under
 * way has a note of its own, whose version goes up with it: of all copies of a write that are sent, over whichever
 * connections, the first to arrive takes the version that all of them name, and the others are refused. A note goes to
 * another write once nobody can ask for its own any more; after a write that was sent again, it is there until the session
 * ends.
 */
export class Outcomes {
  readonly #writes = new Map<string, Write>();
  #free: Note[] = [];
  #made = 0;

  constructor(
    private readonly layout: Layout,
    private readonly parents: Parents,
    private readonly sessionId: string,
    private readonly context: StoreContext,
  ) {}

  once<T>(connection: Connection, writeId: string, act: WriteAct<T>): Observable<T> {
    return defer(() => {
      const write = this.#writes.get(writeId) ?? {
        note: undefined,
        unanswered: 0,
        isRepeated: false,
        isUnderWay: false,
        answered: undefined,
        restingMs: 0,
      };
      write.isUnderWay = true;
      this.#writes.set(writeId, write);
      const commit: Commit = (outcome, steps) =>
        defer(() =>
          // Where no copy is on its way, it need not be kept that nothing was done.
          steps.length === 0 && !isDoubtful(write)
            ? of([])
            : this.#commit(connection, act.operation, writeId, write, outcome, steps),
        );
      const known = (mustLook: boolean): Observable<string | undefined> =>
        mustLook ? look(connection, writeId, write.note) : of(write.answered);
      const run = (mustLook: boolean): Observable<T> =>
        known(mustLook).pipe(
          switchMap((outcome) => (outcome === undefined ? act.attempt(commit) : act.recall(outcome))),
          catchError((error) =>
            error instanceof NoteRefused
              ? this.#prepare(connection, error.note).pipe(switchMap(() => run(true)))
              : throwError(() => error),
          ),
        );
      return run(isDoubtful(write)).pipe(
        tap(() => conclude(write)),
        finalize(() => {
          write.isUnderWay = false;
          this.#settle(writeId, write);
        }),
      );
    });
  }

  /** Nobody will ask any more how the write came out. */
  forget(writeId: string): void {
    const write = this.#writes.get(writeId);
    this.#writes.delete(writeId);
    if (write === undefined) return;
    conclude(write);
    this.#release(write);
  }

  /** Lets go of what nobody needs: who wants to hear of an outcome asks for it at the next try. */
  tidy(connection: Connection, ttlMs: number): Observable<unknown> {
    const { timing } = this.context;
    const keptMs = ttlMs + timing.maxBackoffMs + timing.requestTimeoutMs;
    for (const [writeId, { isUnderWay, restingMs }] of this.#writes)
      if (!isUnderWay && this.context.now() - restingMs > keptMs) this.forget(writeId);
    const spare = this.#free.filter(({ isDisputed }) => !isDisputed).slice(MOST_FREE);
    this.#free = this.#free.filter((note) => !spare.includes(note));
    const removals = spare.map(({ path }) =>
      connection.remove(path).pipe(onRefusal([Code.noNode], () => of(undefined))),
    );
    return removals.length === 0 ? of(undefined) : forkJoin(removals);
  }

  #commit(
    connection: Connection,
    operation: string,
    writeId: string,
    write: Write,
    outcome: string,
    steps: readonly Step[],
  ): Observable<readonly Committed[]> {
    const note = write.note ?? this.#free.pop() ?? this.#newNote();
    write.note = note;
    if (isDoubtful(write)) write.isRepeated = true;
    write.unanswered++;
    const answer$ = new ReplaySubject<readonly Committed[]>(1);
    // It is heard also when nobody waits for it any more: until then, the note belongs to the write.
    connection
      .transact(operation, [noting(note, `${writeId} ${outcome}`), ...steps])
      .pipe(
        tap({
          next: () => {
            write.unanswered--;
            note.version = (note.version ?? -1) + 1;
            write.answered = outcome;
          },
          error: (error) => {
            if (error instanceof Refused) write.unanswered--;
          },
          finalize: () => this.#settle(writeId, write),
        }),
        map(([noted, ...answers]) => answers.map((answer) => ({ ...answer, zxid: noted?.stat?.mzxid }))),
        catchError((error) => throwError(() => (isNoteRefused(error) ? new NoteRefused(note, error) : error))),
      )
      .subscribe(answer$);
    return answer$;
  }

  #newNote(): Note {
    this.#made++;
    return { path: `${this.layout.writes}/${this.sessionId}-${this.#made}`, version: undefined, isDisputed: false };
  }

  /** What may be missing above a note that is not there. */
  #prepare(connection: Connection, note: Note): Observable<unknown> {
    return note.version === undefined ? this.parents.makeFolders(connection) : of(undefined);
  }

  #settle(writeId: string, write: Write): void {
    write.restingMs = this.context.now();
    if (write.isUnderWay || isDoubtful(write)) return;
    this.#release(write);
    if (write.answered === undefined) this.#writes.delete(writeId);
  }

  #release(write: Write): void {
    if (write.note !== undefined) this.#free.push(write.note);
    write.note = undefined;
  }
}

/** It was not the steps that were refused: another copy of the write, or somebody who meddled, was there before. */
class NoteRefused extends Error {
  override readonly name = 'NoteRefused';
  constructor(
    readonly note: Note,
    cause: Refused,
  ) {
    super(`${note.path} is not as it was`, { cause });
  }
}

function isNoteRefused(error: unknown): error is Refused {
  return (
    error instanceof Refused &&
    error.step === 0 &&
    [Code.noNode, Code.nodeExists, Code.badVersion].some((code) => code === error.code)
  );
}

/** Whoever asked has been told. */
function conclude(write: Write): void {
  if (write.note !== undefined && isDoubtful(write)) write.note.isDisputed = true;
  write.answered = undefined;
  write.unanswered = 0;
  write.isRepeated = false;
}

function isDoubtful({ unanswered, isRepeated }: Write): boolean {
  return unanswered > 0 || isRepeated;
}

function noting({ path, version }: Note, text: string): Step {
  const data = toUtf8(text);
  return version === undefined ? { act: 'create', path, data, kind: 'ephemeral' } : { act: 'set', path, data, version };
}

/** What the note tells of the write, if anything. */
function look(connection: Connection, writeId: string, note: Note | undefined): Observable<string | undefined> {
  if (note === undefined) return of(undefined);
  return connection.read(note.path).pipe(
    map(({ data, stat }) => {
      note.version = stat.version;
      const [id, outcome] = data.toString('latin1').split(' ');
      return id === writeId ? outcome : undefined;
    }),
    onRefusal([Code.noNode], () => {
      note.version = undefined;
      return of(undefined);
    }),
  );
}

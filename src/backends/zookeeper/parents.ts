import {
  catchError,
  defer,
  EMPTY,
  forkJoin,
  ignoreElements,
  map,
  merge,
  type Observable,
  of,
  switchMap,
  throwError,
} from 'rxjs';
import { PermissionDenied } from '../errors.js';
import type { Connection } from './connection.js';
import { Code, onRefusal, Refused } from './failures.js';
import { MARK } from './layout.js';

const NOTHING = new Uint8Array();
const MARK_BYTES = new TextEncoder().encode(MARK);
/** How many parents a goodbye deletes at most: it must not take longer than a request. */
const MOST_AT_ONCE = 500;

interface Use {
  entries: number;
  lastMs: number;
}

/**
 * The persistent nodes that entries stand under: made when they are needed, and deleted when nobody here has needed them
 * for a while. Only those are deleted which some conclave made for entries alone (by their data), so neither groups
 * nor what kazoo made before.
 */
export class Parents {
  readonly #uses = new Map<string, Use>();

  constructor(
    private readonly now: () => number,
    private readonly keep: boolean,
  ) {}

  /**
   * Makes an ephemeral sequential child, and its parent with it where there is none: the first time in one request,
   * afterwards too, as long as the parent stands.
   */
  makeChild(
    connection: Connection,
    folder: string,
    parent: string,
    prefix: string,
    data: Uint8Array,
  ): Observable<string> {
    const child = `${parent}/${prefix}`;
    const alone = (): Observable<string> => connection.create(child, data, 'ephemeralSequential');
    const both = (): Observable<string> =>
      connection
        .transact(`create ${child}`, [
          { act: 'create', path: parent, data: MARK_BYTES, kind: 'persistent' },
          { act: 'create', path: child, data, kind: 'ephemeralSequential' },
        ])
        .pipe(map(([, made]) => made?.path ?? ''));
    const either = (): Observable<string> =>
      both().pipe(
        onRefusal([Code.nodeExists], alone),
        onRefusal([Code.noNode], () => this.makeFolder(connection, folder).pipe(switchMap(either))),
      );
    return defer(() => (this.#uses.has(parent) ? alone().pipe(onRefusal([Code.noNode], either)) : either())).pipe(
      map((path) => path.slice(parent.length + 1)),
    );
  }

  /** Makes a persistent path from the root on, and what is missing above it. */
  makeFolder(connection: Connection, path: string): Observable<void> {
    const steps = path.split('/').slice(1);
    const paths = steps.map((_, index) => `/${steps.slice(0, index + 1).join('/')}`);
    let denied: unknown;
    const creations = paths.map((one) =>
      connection.create(one, NOTHING, 'persistent').pipe(
        // Whoever may not create a node is refused as well where it is there already.
        catchError((error) => {
          if (!(error instanceof Refused)) return throwError(() => error);
          if (error.code === Code.noAuth) denied = error;
          return error.code === Code.noAuth || error.code === Code.nodeExists || error.code === Code.noNode
            ? of(undefined)
            : throwError(() => error);
        }),
      ),
    );
    return defer(() => forkJoin([...creations, connection.exists(path)])).pipe(
      map((answers) => {
        if (answers.at(-1) === undefined) throw new PermissionDenied('zookeeper', `create ${path}`, denied);
      }),
    );
  }

  entered(parent: string): void {
    const use = this.#uses.get(parent) ?? { entries: 0, lastMs: 0 };
    this.#uses.set(parent, { entries: use.entries + 1, lastMs: this.now() });
  }

  left(parent: string): void {
    const use = this.#uses.get(parent);
    if (use !== undefined) this.#uses.set(parent, { entries: Math.max(0, use.entries - 1), lastMs: this.now() });
  }

  /** Deletes what has been of no use for `idleMs` and is empty. Whoever needs it later makes it again. */
  tidy(connection: Connection, idleMs: number): Observable<never> {
    const idle = [...this.#uses].filter(([, use]) => use.entries === 0 && this.now() - use.lastMs >= idleMs);
    for (const [parent] of idle) this.#uses.delete(parent);
    return this.#remove(
      connection,
      idle.map(([parent]) => parent),
    );
  }

  /** Deletes all that were used, once nothing of one's own is left under them. */
  tidyAll(connection: Connection): Observable<never> {
    const parents = [...this.#uses.keys()].slice(-MOST_AT_ONCE);
    this.#uses.clear();
    return this.#remove(connection, parents);
  }

  #remove(connection: Connection, parents: readonly string[]): Observable<never> {
    if (this.keep || parents.length === 0) return EMPTY;
    const removals = parents.map((parent) =>
      connection.read(parent).pipe(
        // A group that is registered meanwhile has another version.
        switchMap(({ data, stat }) => (data.toString() === MARK ? connection.remove(parent, stat.version) : EMPTY)),
        // Somebody stands there again, or has deleted it already, or does not allow it.
        catchError(() => EMPTY),
      ),
    );
    return merge(...removals).pipe(ignoreElements());
  }
}

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
import { toUtf8 } from '../shared/utf8.js';
import type { Connection, NodeKind } from './connection.js';
import { Code, onRefusal, Refused } from './failures.js';
import { type Layout, MARK } from './layout.js';

const NOTHING = new Uint8Array();
const MARK_BYTES = toUtf8(MARK);
/** How many parents a goodbye deletes at most: it must not take longer than a request. */
const MOST_AT_ONCE = 500;

interface Use {
  entries: number;
  lastMs: number;
}

/**
 * The nodes that entries stand under: containers, made when they are needed, which the server deletes some time after the
 * last entry has gone, whatever has become of those who made them. It deletes only so many in a minute, so they are also
 * deleted here, when nobody here has needed them for a while. Only those are deleted which some conclave made for entries
 * alone (by their data), so neither groups nor what kazoo made before.
 */
export class Parents {
  readonly #uses = new Map<string, Use>();
  /** Servers before 3.5.1 know no containers. */
  #kind: 'container' | 'persistent';

  constructor(
    private readonly layout: Layout,
    private readonly now: () => number,
    private readonly keep: boolean,
  ) {
    this.#kind = keep ? 'persistent' : 'container';
  }

  /**
   * Makes a child: `child` emits what was made, or is refused where there is no parent. `parents` are those that it needs, the
   * outermost first. Where the last is not known to stand, they are made by the requests before, so that the child is there
   * after one round trip, whether they were or not.
   */
  makeChild<T>(connection: Connection, parents: readonly string[], child: () => Observable<T>): Observable<T> {
    const both = (): Observable<T> =>
      forkJoin([
        forkJoin(parents.map((parent) => this.#makeParent(connection, parent))),
        child().pipe(onRefusal([Code.noNode], () => of(undefined))),
      ]).pipe(
        switchMap(([made, children]) => {
          if (children !== undefined) return of(children);
          const denied = made.find((one) => one instanceof Refused && one.code === Code.noAuth);
          if (denied !== undefined) throw denied;
          return this.makeFolders(connection).pipe(switchMap(both));
        }),
      );
    return defer(() => {
      const isKnown = parents.slice(-1).every((parent) => this.#uses.has(parent));
      // From now on: the server deletes none that has never had a child, and this one may get none.
      for (const parent of parents) this.#used(parent, 0);
      return isKnown ? child().pipe(onRefusal([Code.noNode], both)) : both();
    });
  }

  /** Makes the persistent nodes that everything stands under, and what is missing above them. */
  makeFolders(connection: Connection): Observable<void> {
    const { root, folders } = this.layout;
    const paths = new Set(folders.flatMap((folder) => withAncestors(folder)));
    return defer(() =>
      forkJoin([
        ...[...paths].map((path) => this.#make(connection, path, NOTHING)),
        ...folders.map((path) => connection.exists(path)),
      ]),
    ).pipe(
      map((answers) => {
        const denied = answers.find((answer) => answer instanceof Refused);
        if (answers.includes(undefined))
          throw new PermissionDenied({ name: 'zookeeper', address: connection.address }, `create ${root}`, denied);
      }),
    );
  }

  entered(parent: string): void {
    this.#used(parent, 1);
  }

  left(parent: string): void {
    if (this.#uses.has(parent)) this.#used(parent, -1);
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

  #used(parent: string, by: number): void {
    const { entries = 0 } = this.#uses.get(parent) ?? {};
    this.#uses.set(parent, { entries: Math.max(0, entries + by), lastMs: this.now() });
  }

  #makeParent(connection: Connection, parent: string): Observable<true | Refused> {
    return this.#make(connection, parent, MARK_BYTES, this.#kind).pipe(
      onRefusal([Code.unimplemented], () => {
        this.#kind = 'persistent';
        return this.#makeParent(connection, parent);
      }),
    );
  }

  /** Emits a refusal instead of failing: whoever may not create a node is refused as well where it is there already. */
  #make(
    connection: Connection,
    path: string,
    data: Uint8Array,
    kind: NodeKind = 'persistent',
  ): Observable<true | Refused> {
    return connection.create(path, data, kind).pipe(
      map((): true => true),
      catchError((error) => {
        const isExpected =
          error instanceof Refused && [Code.noAuth, Code.nodeExists, Code.noNode].some((code) => code === error.code);
        return isExpected ? of(error) : throwError(() => error);
      }),
    );
  }

  #remove(connection: Connection, parents: readonly string[]): Observable<never> {
    if (this.keep || parents.length === 0) return EMPTY;
    // What stands under another one goes before it.
    const innermostFirst = [...parents].sort((a, b) => b.split('/').length - a.split('/').length);
    const removals = innermostFirst.map((parent) =>
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

/** A path and all that it needs, from the root on. */
function withAncestors(path: string): readonly string[] {
  const segments = path.split('/').slice(1);
  return segments.map((_, index) => `/${segments.slice(0, index + 1).join('/')}`);
}

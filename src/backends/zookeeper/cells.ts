import { EMPTY, forkJoin, map, type Observable, of, switchMap } from 'rxjs';
import type { Expected, SwapResult, Versioned } from '../backend.js';
import type { Connection, Stat, Step } from './connection.js';
import { Code, onRefusal } from './failures.js';
import { follow } from './follow.js';
import type { Layout } from './layout.js';
import type { Commit, Outcomes } from './outcomes.js';
import type { Parents } from './parents.js';

const NOTHING = new Uint8Array();
/** Stands for whichever version a node has. */
const ANY = -1;

interface Cell {
  readonly held: Versioned;
  readonly nodeVersion: number;
}

/**
 * Cells are nodes; their version is the transaction that wrote them, which never returns. ZooKeeper compares only node
 * versions, and these begin anew when a node is deleted and made again. So each deletion also writes the parent,
 * and a compared write checks the parent's version as well: where any cell was deleted since the reading, it reads again.
 */
export class Cells {
  constructor(
    private readonly layout: Layout,
    private readonly parents: Parents,
    private readonly outcomes: Outcomes,
  ) {}

  cell(connection: Connection, key: string): Observable<Versioned | undefined> {
    const path = this.layout.cell(key);
    return follow(connection, (watches) => {
      watches.set('data', path);
      return connection.read(path, true).pipe(
        map((found): Versioned | undefined => toCell(found).held),
        onRefusal([Code.noNode], () =>
          connection.exists(path, true).pipe(
            switchMap((stat) => {
              if (stat === undefined) return of(undefined);
              watches.again();
              return EMPTY;
            }),
          ),
        ),
      );
    });
  }

  swap(
    connection: Connection,
    key: string,
    expected: Expected,
    value: Uint8Array | undefined,
    writeId: string,
  ): Observable<SwapResult> {
    const path = this.layout.cell(key);
    return this.outcomes.once(connection, writeId, {
      operation: `write cell ${key}`,
      attempt: (commit) => this.#swap(connection, path, expected, value, commit),
      recall: (outcome) =>
        cellAt(connection, path).pipe(
          map((current): SwapResult => ({ swapped: outcome === 'swapped', current: current?.held })),
        ),
    });
  }

  #swap(
    connection: Connection,
    path: string,
    expected: Expected,
    value: Uint8Array | undefined,
    commit: Commit,
  ): Observable<SwapResult> {
    const again = (): Observable<SwapResult> => this.#swap(connection, path, expected, value, commit);
    const folder$ = connection.read(this.layout.cells).pipe(
      map(({ stat }) => stat),
      onRefusal([Code.noNode], () => of(undefined)),
    );
    return forkJoin([folder$, cellAt(connection, path)]).pipe(
      switchMap(([folder, current]) => {
        const fits =
          expected === 'any' || (expected === 'absent' ? current === undefined : current?.held.version === expected);
        if (!fits || (value === undefined && current === undefined))
          return commit(fits ? 'swapped' : 'kept', []).pipe(map(() => ({ swapped: fits, current: current?.held })));
        if (folder === undefined) return this.parents.makeFolders(connection).pipe(switchMap(again));
        const compared = expected === 'any' ? undefined : { folder: folder.version, cell: current?.nodeVersion ?? ANY };
        const steps =
          value === undefined ? this.#deletion(path, compared) : this.#writing(path, current, compared, value);
        return commit('swapped', steps).pipe(
          map((answers) => ({
            swapped: true,
            current: value && { value, version: answers.at(-1)?.stat?.mzxid ?? 0n },
          })),
        );
      }),
      // Somebody was quicker: look again.
      onRefusal([Code.nodeExists, Code.badVersion, Code.noNode], again),
    );
  }

  #writing(path: string, current: Cell | undefined, compared: Compared | undefined, data: Uint8Array): readonly Step[] {
    if (current === undefined)
      return [
        { act: 'create', path, data, kind: 'persistent' },
        // Only a write's answer tells the transaction.
        { act: 'set', path, data, version: ANY },
      ];
    if (compared === undefined) return [{ act: 'set', path, data, version: ANY }];
    return [
      { act: 'check', path: this.layout.cells, version: compared.folder },
      { act: 'set', path, data, version: compared.cell },
    ];
  }

  #deletion(path: string, compared: Compared | undefined): readonly Step[] {
    return [
      { act: 'remove', path, version: compared?.cell ?? ANY },
      { act: 'set', path: this.layout.cells, data: NOTHING, version: compared?.folder ?? ANY },
    ];
  }
}

/** Versions of the nodes as they were read. */
interface Compared {
  readonly folder: number;
  readonly cell: number;
}

function cellAt(connection: Connection, path: string): Observable<Cell | undefined> {
  return connection.read(path).pipe(
    map(toCell),
    onRefusal([Code.noNode], () => of(undefined)),
  );
}

function toCell({ data, stat }: { readonly data: Buffer; readonly stat: Stat }): Cell {
  return { held: { value: new Uint8Array(data), version: stat.mzxid }, nodeVersion: stat.version };
}

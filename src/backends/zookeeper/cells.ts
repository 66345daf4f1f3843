import { defer, EMPTY, forkJoin, map, type Observable, of, switchMap } from 'rxjs';
import type { Expected, SwapResult, Versioned } from '../backend.js';
import type { Connection, Stat } from './connection.js';
import { Code, onRefusal } from './failures.js';
import { follow } from './follow.js';
import type { Layout } from './layout.js';
import type { Parents } from './parents.js';

/** Length of a write's id, which stands before the value. */
const ID_LENGTH = 32;
/** How many deletions are remembered, so that a repeated one is known for its first. */
const MOST_DELETIONS = 32;

const encoder = new TextEncoder();

interface Cell extends Versioned {
  readonly writeId: string;
  readonly nodeVersion: number;
}

/**
 * Cells are nodes; their version is the transaction that wrote them, which never returns. ZooKeeper compares only node
 * versions, and these begin anew when a node is deleted and made again. So each deletion also writes the parent,
 * and a compared write checks the parent's version as well: where any cell was deleted since the reading, it reads again.
 * The parent's data are the ids of the last deletions.
 */
export class Cells {
  constructor(
    private readonly layout: Layout,
    private readonly parents: Parents,
  ) {}

  cell(connection: Connection, key: string): Observable<Versioned | undefined> {
    const path = this.layout.cell(key);
    return follow(connection, (watches) => {
      watches.set('data', path);
      return connection.read(path, true).pipe(
        map(({ data, stat }): Versioned | undefined => toCell(data, stat)),
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
    }).pipe(map((cell) => cell && { value: cell.value, version: cell.version }));
  }

  swap(
    connection: Connection,
    key: string,
    expected: Expected,
    value: Uint8Array | undefined,
    writeId: string,
  ): Observable<SwapResult> {
    const path = this.layout.cell(key);
    const none = (): Observable<undefined> => of(undefined);
    const attempt = (): Observable<SwapResult> =>
      forkJoin([
        connection.read(this.layout.cells).pipe(onRefusal([Code.noNode], none)),
        connection.read(path).pipe(
          map(({ data, stat }) => toCell(data, stat)),
          onRefusal([Code.noNode], none),
        ),
      ]).pipe(
        switchMap(([parent, current]) => {
          const deletions = parent === undefined ? [] : toIds(parent.data);
          const isRepeated = value === undefined ? deletions.includes(writeId) : current?.writeId === writeId;
          const fits =
            expected === 'any' || (expected === 'absent' ? current === undefined : current?.version === expected);
          if (isRepeated || !fits || (value === undefined && current === undefined))
            return of({ swapped: isRepeated || fits, current: current && toVersioned(current) });
          if (value === undefined)
            return this.#delete(connection, path, current, parent?.stat, [writeId, ...deletions]);
          return this.#write(connection, path, current, expected === 'any' ? undefined : parent?.stat, value, writeId);
        }),
        // Somebody was quicker: look again.
        onRefusal([Code.nodeExists, Code.badVersion, Code.noNode], attempt),
      );
    return defer(attempt);
  }

  #write(
    connection: Connection,
    path: string,
    current: Cell | undefined,
    compared: Stat | undefined,
    value: Uint8Array,
    writeId: string,
  ): Observable<SwapResult> {
    const data = Buffer.concat([encoder.encode(writeId), value]);
    const done = (stat: Stat | undefined): SwapResult => ({
      swapped: true,
      current: { value, version: stat?.mzxid ?? 0n },
    });
    if (current === undefined)
      return connection
        .transact(`create ${path}`, [
          { act: 'create', path, data, kind: 'persistent' },
          // Only a write's answer tells the transaction.
          { act: 'set', path, data, version: -1 },
        ])
        .pipe(
          map(([, written]) => done(written?.stat)),
          onRefusal([Code.noNode], () =>
            this.parents
              .makeFolders(connection)
              .pipe(switchMap(() => this.#write(connection, path, current, compared, value, writeId))),
          ),
        );
    if (compared === undefined) return connection.write(path, data).pipe(map(done));
    return connection
      .transact(`write ${path}`, [
        { act: 'check', path: this.layout.cells, version: compared.version },
        { act: 'set', path, data, version: current.nodeVersion },
      ])
      .pipe(map(([, written]) => done(written?.stat)));
  }

  #delete(
    connection: Connection,
    path: string,
    current: Cell | undefined,
    parent: Stat | undefined,
    deletions: readonly string[],
  ): Observable<SwapResult> {
    return connection
      .transact(`delete ${path}`, [
        { act: 'remove', path, version: current?.nodeVersion ?? -1 },
        {
          act: 'set',
          path: this.layout.cells,
          data: encoder.encode(deletions.slice(0, MOST_DELETIONS).join('')),
          version: parent?.version ?? -1,
        },
      ])
      .pipe(map(() => ({ swapped: true, current: undefined })));
  }
}

/** What another client wrote has no id of this kind, and is all value. */
function toCell(data: Buffer, stat: Stat): Cell {
  const id = data.toString('latin1', 0, ID_LENGTH);
  const writeId = /^[0-9a-f]{32}$/.test(id) ? id : '';
  const value = new Uint8Array(data.subarray(writeId.length));
  return { value, version: stat.mzxid, writeId, nodeVersion: stat.version };
}

function toVersioned({ value, version }: Cell): Versioned {
  return { value, version };
}

function toIds(data: Buffer): readonly string[] {
  return data.toString('latin1').match(/[0-9a-f]{32}/g) ?? [];
}

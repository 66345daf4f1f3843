import { InvalidOptions } from '../backends/errors.js';
import { objectWith, shown } from '../backends/shared/expectations.js';

/** A client, a pool, or a client of a pool, of `pg`. */
export interface PostgresClient {
  query(
    text: string,
    values: unknown[],
  ): Promise<{ readonly rowCount: number | null; readonly rows: readonly unknown[] }>;
}

/** A connection, a pool, or a connection of a pool, of `mysql2/promise`. */
export interface MySqlClient {
  execute(sql: string, values: SqlValue[]): Promise<[unknown, unknown]>;
}

/** As much of what `mysql2` binds as all its versions know. */
export type SqlValue = string | number | bigint | boolean | Date | null;

/** What a statement has come to: rows that it wrote, or rows that it read. */
interface Outcome {
  readonly written: number;
  readonly rows: readonly unknown[];
  /** Whether the server has something to say of it: that a value was clipped, for one. */
  readonly hasWarnings: boolean;
}

/** How one kind of server is talked to. */
export interface SqlServer {
  readonly kind: 'postgres' | 'mysql';
  quote(identifier: string): string;
  /** What stands in a statement for its value number `index`, from 1. */
  placeholder(index: number): string;
  /** The same for a token. */
  token(index: number): string;
  /** A column with a token, read as text: a number would lose digits. */
  asText(column: string): string;
  /** Makes a look see what was committed last, also in a transaction that has begun before. */
  readonly latest: string;
  run(text: string, values: readonly unknown[]): Promise<Outcome>;
  /** Whether somebody else made the same row first. */
  isDuplicate(error: unknown): boolean;
}

/** Throws `InvalidOptions` where it is none of those clients. */
export function sqlServer(client: PostgresClient | MySqlClient): SqlServer {
  const [, canExecute] = objectWith('execute', 'query');
  const [, canPromise] = objectWith('promise');
  const [, canQuery] = objectWith('query');
  if (canExecute(client)) {
    if (canPromise(client))
      throw new InvalidOptions([
        "client must be one of 'mysql2/promise', and is one with callbacks: give client.promise()",
      ]);
    return mySql(client as MySqlClient);
  }
  if (canQuery(client)) return postgres(client as PostgresClient);
  throw new InvalidOptions(["client must be a client or pool of 'pg', or a connection or pool of 'mysql2/promise'"]);
}

function postgres(client: PostgresClient): SqlServer {
  return {
    kind: 'postgres',
    quote: (identifier) => `"${identifier.replaceAll('"', '""')}"`,
    placeholder: (index) => `$${index}`,
    token: (index) => `$${index}::bigint`,
    asText: (column) => `(${column})::text`,
    latest: '',
    run: async (text, values) => {
      const result = await client.query(text, values.map(textOfBigint));
      if (typeof result?.rowCount !== 'number')
        throw new InvalidOptions(["client must be a client or pool of 'pg', which tells how many rows were written"]);
      return { written: result.rowCount, rows: result.rows, hasWarnings: false };
    },
    isDuplicate: () => false,
  };
}

function mySql(client: MySqlClient): SqlServer {
  return {
    kind: 'mysql',
    quote: (identifier) => `\`${identifier.replaceAll('`', '``')}\``,
    placeholder: () => '?',
    // It is bound as text, as which it would be compared with a column of text.
    token: () => 'CAST(? AS SIGNED)',
    asText: (column) => `CAST(${column} AS CHAR)`,
    latest: ' LOCK IN SHARE MODE',
    run: async (text, values) => {
      const [result] = await client.execute(text, values.map(textOfBigint) as SqlValue[]);
      const hasWarnings = isWith(result, 'warningStatus') && Number(result.warningStatus) > 0;
      return { written: matchedBy(result), rows: Array.isArray(result) ? result : [], hasWarnings };
    },
    isDuplicate: (error) => isWith(error, 'code') && error.code === 'ER_DUP_ENTRY',
  };
}

/** The text in a row of one column, whatever the client makes of rows: an object, a list, or an object for each table. */
export function onlyTextIn(row: unknown): string | null {
  const inner = onlyValueIn(row);
  const text = typeof inner === 'object' && inner !== null ? onlyValueIn(inner) : inner;
  if (text === null || typeof text === 'string') return text;
  throw new InvalidOptions([
    `client must give text as a string, also where it has options for rows or types (rowMode, rowsAsArray, nestTables, typeCast, types), but gives ${shown(text)}`,
  ]);
}

function onlyValueIn(row: unknown): unknown {
  const values = typeof row === 'object' && row !== null ? Object.values(row) : [];
  return values.length === 1 ? values[0] : undefined;
}

function textOfBigint(value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}

/**
 * How many rows a statement has found. `affectedRows` is that, too, unless the client was told `-FOUND_ROWS`: then it leaves
 * out rows in which everything was so already, and the first number of `info` tells: `Rows matched: 1  Changed: 0 …`.
 */
function matchedBy(result: unknown): number {
  if (!isWith(result, 'affectedRows') || typeof result.affectedRows !== 'number') return 0;
  const matched = isWith(result, 'info') && typeof result.info === 'string' ? /\d+/.exec(result.info)?.[0] : undefined;
  return Math.max(result.affectedRows, Number(matched ?? 0));
}

function isWith<K extends string>(value: unknown, key: K): value is Record<K, unknown> {
  return typeof value === 'object' && value !== null && key in value;
}

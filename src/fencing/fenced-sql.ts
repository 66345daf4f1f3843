import { defer, type Observable } from 'rxjs';
import { InvalidOptions } from '../backends/errors.js';
import { ResourceChanged, ResourceNotFound, StaleToken, UnfenceableResource } from '../backends/fencing-errors.js';
import { either, listOf, shown } from '../backends/shared/expectations.js';
import { type MySqlClient, onlyTextIn, type PostgresClient, type SqlServer, sqlServer } from './sql-clients.js';
import { checkWrite, type FencedWrite, FIELDS, fieldViolations, NAME, refuse } from './write.js';

/** A row, and what is written into it. */
export interface SqlWrite extends FencedWrite {
  /** Its name, or the names that lead to it: `['billing', 'invoices']`. */
  readonly table: string | readonly string[];
  /** Names one row: its primary key, or another unique one, by column. */
  readonly key: Readonly<Record<string, unknown>>;
  /** The column of the token: `bigint`, and without a value until the first write. Default `fencing_token`. */
  readonly tokenColumn?: string;
}

/** How often a row that comes or goes in the very moment is tried for. */
const ATTEMPTS = 3;

/**
 * Writes into a row of PostgreSQL (`pg`), MySQL or MariaDB (`mysql2/promise`), unless one with a greater token has: then the holder
 * is one of the past.
 *
 * Cold: each subscription writes.
 *
 *     output   --(u|)        u is undefined: it is written
 *     stale    ---#          StaleToken
 *
 * It is one conditional statement, `UPDATE … SET …, fencing_token = 7 WHERE id = 42 AND fencing_token <= 7`, so it needs
 * no transaction, and may stand in one. The row is read only where nothing was written, to tell why. With `create` it is one
 * statement on PostgreSQL, `INSERT … ON CONFLICT … DO UPDATE … WHERE`, which needs a unique `key`. On MySQL, whose statement for that
 * does not tell what it has done, it is the same `UPDATE`, and an `INSERT` where there is no row. Identifiers are quoted, values are
 * bound. The column of the token is one of whole numbers: one that rounds is not written to, and one that clips, as a MySQL that is
 * not strict does, is told when it has.
 *
 * **Emits** `undefined`, once, when it is written. The same token may write as often as it likes.
 * **Errors** `StaleToken`; `ResourceNotFound`; `ResourceChanged` where the row comes and goes; `UnfenceableResource` where something else
 * stands where the token should, or the column cannot hold it, in which case its reason says what was written; what the client errors with, as it is: after a connection that broke, it may have been written.
 * `InvalidOptions` (thrown at the call), and where `key` names more than one row.
 * **Completes** after that.
 * **Teardown** a statement under way may still take effect.
 * **Guarantee** not for rows that are written without it, or deleted, which forgets their token. Not: that `key` names one row only;
 * where it names more, that is told after they were written. But: no write of a holder whose token is smaller than the row's.
 * **Source** Kleppmann, "How to do distributed locking"; Cinder's conditional updates.
 *
 * @example
 * declare const pool: { query(text: string, values: unknown[]): Promise<{ rowCount: number | null; rows: unknown[] }> };
 * withLock(backend, 'invoice-42', ({ token }) =>
 *   fencedSql(pool, { table: 'invoices', key: { id: 42 }, set: { status: 'paid' }, token }),
 * ).subscribe();
 */
export function fencedSql(client: PostgresClient | MySqlClient, write: SqlWrite): Observable<void> {
  const { tokenColumn = 'fencing_token' } = checked(write);
  const row: Row = { ...write, tokenColumn, server: sqlServer(client) };
  return defer(() => writeRow(row));
}

interface Row extends SqlWrite {
  readonly tokenColumn: string;
  readonly server: SqlServer;
}

function checked(write: SqlWrite): SqlWrite {
  const tokenName = typeof write?.tokenColumn === 'string' ? write.tokenColumn : 'fencing_token';
  const own = { table: either(NAME, listOf(NAME)), key: FIELDS, tokenColumn: NAME };
  checkWrite(write, tokenName, own, ['table', 'key']);
  const { table, key, set } = write;
  const violations = fieldViolations('key', key, tokenName);
  if (table.length === 0) violations.push('table must have a name');
  if (Object.keys(key).length === 0) violations.push('key must name a column, or every row would be written');
  for (const [column, value] of Object.entries(key)) {
    if (value === null) violations.push(`key[${JSON.stringify(column)}] must have a value, but is null`);
    if (Object.hasOwn(set, column)) violations.push(`${JSON.stringify(column)} must not be in both key and set`);
  }
  refuse(violations);
  return write;
}

async function writeRow(row: Row): Promise<void> {
  const { server, create = false, token } = row;
  const resource = resourceOf(row);
  let duplicate: unknown;
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const isUpsert = create && server.kind === 'postgres';
    const { written, rows, hasWarnings } = await run(row, isUpsert ? upsert : update);
    if (isOne(written, resource)) {
      if (hasWarnings || isUpsert)
        checkHeld(row, resource, isUpsert ? seenIn(row, resource, rows) : await tokenOf(row, resource));
      return;
    }
    const seen = await tokenOf(row, resource);
    if (typeof seen === 'bigint' && seen > token) throw new StaleToken(resource, token, seen);
    if (seen !== 'no row') continue;
    if (!create) throw new ResourceNotFound(resource);
    if (isUpsert) continue;
    try {
      await run(row, insert);
    } catch (error) {
      if (!server.isDuplicate(error)) throw error;
      duplicate = error;
      continue;
    }
    checkHeld(row, resource, await tokenOf(row, resource));
    return;
  }
  throw duplicate ?? new ResourceChanged(resource);
}

/** Collects values, and gives what stands for them in the text. */
type Bind = (value: unknown, isToken?: boolean) => string;

function run(row: Row, statement: (row: Row, bind: Bind) => string): ReturnType<SqlServer['run']> {
  return row.server.run(...written(row, statement));
}

function written(row: Row, statement: (row: Row, bind: Bind) => string): [text: string, values: unknown[]] {
  const values: unknown[] = [];
  const bind: Bind = (value, isToken = false) => {
    const index = values.push(value);
    return isToken ? row.server.token(index) : row.server.placeholder(index);
  };
  return [statement(row, bind), values];
}

function update({ server, set, token, tokenColumn, ...row }: Row, bind: Bind): string {
  const { quote } = server;
  const column = quote(tokenColumn);
  const values = Object.entries(set).map(([name, value]) => `${quote(name)} = ${bind(value)}`);
  return (
    `UPDATE ${tableOf(quote, row)} SET ${[...values, `${column} = ${bind(token, true)}`].join(', ')} ` +
    `WHERE ${keyOf(quote, row, bind)} AND (${column} IS NULL OR ${column} <= ${bind(token, true)}) ` +
    `AND ${isExact(server, column)}`
  );
}

function insert(row: Row, bind: Bind): string {
  return insertInto(tableOf(row.server.quote, row), row, bind);
}

function insertInto(table: string, { server: { quote }, key, set, token, tokenColumn }: Row, bind: Bind): string {
  const fields = { ...key, ...set };
  const columns = [...Object.keys(fields), tokenColumn].map(quote);
  const values = [...Object.values(fields).map((value) => bind(value)), bind(token, true)];
  return `INSERT INTO ${table} (${columns.join(', ')}) VALUES (${values.join(', ')})`;
}

/** Of PostgreSQL. */
function upsert(row: Row, bind: Bind): string {
  const { quote } = row.server;
  const column = quote(row.tokenColumn);
  const its = `present.${column}`;
  const sets = [...Object.keys(row.set).map(quote), column].map((name) => `${name} = EXCLUDED.${name}`);
  return (
    `${insertInto(`${tableOf(quote, row)} AS present`, row, bind)} ON CONFLICT (${Object.keys(row.key).map(quote).join(', ')}) ` +
    `DO UPDATE SET ${sets.join(', ')} WHERE (${its} IS NULL OR ${its} <= EXCLUDED.${column}) ` +
    `AND ${isExact(row.server, its)} RETURNING ${seenOf(row.server, its)} AS seen`
  );
}

function look({ server, tokenColumn, ...row }: Row, bind: Bind): string {
  const { quote, latest } = server;
  return `SELECT ${seenOf(server, quote(tokenColumn))} AS seen FROM ${tableOf(quote, row)} WHERE ${keyOf(quote, row, bind)}${latest}`;
}

/**
 * Whether all tokens can be told apart in a column of its type: beside one that rounds, or one of text, which MySQL compares as
 * that, a number is one that rounds, too. It is asked of the type, so it is known before anything is written.
 */
function isExact({ asText }: SqlServer, column: string): string {
  return `${asText(`CASE WHEN 1 = 1 THEN ${ODD} ELSE ${column} END + 0`)} = '${ODD}'`;
}

/** The smallest that a double does not hold. */
const ODD = 2n ** 53n + 1n;

/** What a column holds, as text; `ROUNDED` where its type is none for tokens. */
function seenOf(server: SqlServer, column: string): string {
  return `CASE WHEN ${isExact(server, column)} THEN ${server.asText(column)} ELSE '${ROUNDED}' END`;
}

const ROUNDED = 'rounded';

function tableOf(quote: SqlServer['quote'], { table }: Pick<Row, 'table'>): string {
  return (typeof table === 'string' ? [table] : table).map(quote).join('.');
}

function keyOf(quote: SqlServer['quote'], { key }: Pick<Row, 'key'>, bind: Bind): string {
  return Object.entries(key)
    .map(([column, value]) => `${quote(column)} = ${bind(value)}`)
    .join(' AND ');
}

async function tokenOf(row: Row, resource: string): Promise<Seen> {
  const { rows } = await run(row, look);
  return seenIn(row, resource, rows);
}

type Seen = bigint | 'none' | 'no row';

function seenIn({ tokenColumn }: Row, resource: string, rows: readonly unknown[]): Seen {
  if (!isOne(rows.length, resource)) return 'no row';
  const seen = onlyTextIn(rows[0]);
  if (seen === null) return 'none';
  if (seen === ROUNDED)
    throw new UnfenceableResource(
      resource,
      `the type of its ${tokenColumn} does not tell all tokens apart: make it bigint`,
    );
  if (!/^-?\d+$/.test(seen))
    throw new UnfenceableResource(resource, `its ${tokenColumn} is ${shown(seen).slice(0, 100)}`);
  return BigInt(seen);
}

/** A greater one may have come since, and the row may have gone. */
function checkHeld({ token, tokenColumn }: Row, resource: string, seen: Seen): void {
  if (seen === 'no row' || (typeof seen === 'bigint' && seen >= token)) return;
  throw new UnfenceableResource(
    resource,
    `its ${tokenColumn} holds ${seen === 'none' ? 'nothing' : seen} where ${token} was written, with all else: its type is too narrow, make it bigint`,
  );
}

/** Whether it is one; where it is more, `key` is none. */
function isOne(rows: number, resource: string): boolean {
  if (rows > 1)
    throw new InvalidOptions([
      `key must name one row, but there are ${rows} of ${resource}, which may have been written`,
    ]);
  return rows === 1;
}

function resourceOf({ table, key }: SqlWrite): string {
  const columns = Object.entries(key).map(([column, value]) => `${column} = ${shown(value).slice(0, 100)}`);
  return `row (${columns.join(', ')}) of table ${typeof table === 'string' ? table : table.join('.')}`;
}

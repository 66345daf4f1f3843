import callbackMysql from 'mysql2';
import mysql from 'mysql2/promise';
import pg from 'pg';
import { firstValueFrom, lastValueFrom, type Observable } from 'rxjs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { connect } from '../../src/connect.js';
import { fencedSql, type SqlWrite } from '../../src/fencing/fenced-sql.js';
import type { MySqlClient, PostgresClient } from '../../src/fencing/sql-clients.js';
import { lock } from '../../src/observables/locks/lock.js';
import { withLock } from '../../src/observables/locks/with-lock.js';
import { startMariaDb } from '../../src/testing/servers/mariadb.js';
import { startPostgres } from '../../src/testing/servers/postgres.js';
import type { TestServer } from '../../src/testing/servers/server.js';
import { randomOf } from '../faults/random.js';

type Client = PostgresClient | MySqlClient;

interface Database {
  readonly name: string;
  start(): Promise<TestServer>;
  /** A pool of so many connections, which can also be asked anything. */
  pool(url: string, size: number): Pool;
  /** All kinds of clients. */
  kinds(
    url: string,
  ): readonly (readonly [kind: string, open: () => Promise<[client: Client, end: () => Promise<void>]>])[];
  /** A client of one connection, in a transaction that has looked at the table already. */
  inTransaction(url: string): Promise<[client: Client, end: (how: 'COMMIT' | 'ROLLBACK') => Promise<void>]>;
  quote(identifier: string): string;
  /** Makes the table `log` tell, in the order of the writes, with which token each was. */
  readonly logWrites: readonly string[];
}

interface Pool {
  readonly client: Client;
  ask(text: string): Promise<readonly Record<string, unknown>[]>;
  end(): Promise<void>;
}

const databases: readonly Database[] = [
  {
    name: 'PostgreSQL',
    start: startPostgres,
    pool: (url, max) => {
      const pool = new pg.Pool({ connectionString: url, max });
      // Connections that are being ended may be told first that the server ends.
      pool.on('error', () => undefined);
      return { client: pool, ask: async (text) => (await pool.query(text)).rows ?? [], end: () => pool.end() };
    },
    kinds: (url) => [
      [
        'a client',
        async () => {
          const client = new pg.Client(url);
          await client.connect();
          return [client, () => client.end()];
        },
      ],
      [
        'a pool',
        async () => {
          const pool = new pg.Pool({ connectionString: url });
          return [pool, () => pool.end()];
        },
      ],
      [
        'a client that gives rows as lists',
        async () => {
          const client = new pg.Client(url);
          await client.connect();
          const query: PostgresClient['query'] = (text, values) => client.query({ text, values, rowMode: 'array' });
          return [{ query }, () => client.end()];
        },
      ],
      [
        'a client of a pool',
        async () => {
          const pool = new pg.Pool({ connectionString: url });
          const client = await pool.connect();
          return [
            client,
            async () => {
              client.release();
              await pool.end();
            },
          ];
        },
      ],
    ],
    inTransaction: async (url) => {
      const client = new pg.Client(url);
      await client.connect();
      await client.query('BEGIN');
      await client.query('SELECT * FROM invoices');
      return [
        client,
        async (how) => {
          await client.query(how);
          await client.end();
        },
      ];
    },
    quote: (identifier) => `"${identifier.replaceAll('"', '""')}"`,
    logWrites: [
      'CREATE TABLE log (at bigserial PRIMARY KEY, token bigint)',
      `CREATE FUNCTION log_write() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO log (token) VALUES (NEW.fencing_token); RETURN NEW; END $$`,
      'CREATE TRIGGER log_writes AFTER INSERT OR UPDATE ON invoices FOR EACH ROW EXECUTE FUNCTION log_write()',
    ],
  },
  {
    name: 'MariaDB',
    start: startMariaDb,
    pool: (url, connectionLimit) => {
      const pool = mysql.createPool({ uri: url, connectionLimit, supportBigNumbers: true, bigNumberStrings: true });
      return {
        client: pool,
        ask: async (text) => (await pool.query(text))[0] as unknown as Record<string, unknown>[],
        end: () => pool.end(),
      };
    },
    kinds: (url) => [
      [
        'a connection',
        async () => {
          const connection = await mysql.createConnection(url);
          return [connection, () => connection.end()];
        },
      ],
      [
        'a connection that tells only of rows that have changed',
        async () => {
          const connection = await mysql.createConnection({ uri: url, flags: ['-FOUND_ROWS'] });
          return [connection, () => connection.end()];
        },
      ],
      [
        'a pool',
        async () => {
          const pool = mysql.createPool(url);
          return [pool, () => pool.end()];
        },
      ],
      [
        'a connection of a pool',
        async () => {
          const pool = mysql.createPool(url);
          const connection = await pool.getConnection();
          return [
            connection,
            async () => {
              connection.release();
              await pool.end();
            },
          ];
        },
      ],
      ...[{ rowsAsArray: true }, { nestTables: true }, { nestTables: '_' }].map(
        (how) =>
          [
            `a connection with ${JSON.stringify(how)}`,
            async () => {
              const connection = await mysql.createConnection({ uri: url, ...how });
              return [connection, () => connection.end()];
            },
          ] as const satisfies ReturnType<Database['kinds']>[number],
      ),
      [
        'the promise of one with callbacks',
        async () => {
          const connection = callbackMysql.createConnection(url).promise();
          return [connection, () => connection.end()];
        },
      ],
    ],
    inTransaction: async (url) => {
      const connection = await mysql.createConnection(url);
      await connection.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ');
      await connection.query('START TRANSACTION');
      await connection.query('SELECT * FROM invoices');
      return [
        connection,
        async (how) => {
          await connection.query(how);
          await connection.end();
        },
      ];
    },
    quote: (identifier) => `\`${identifier.replaceAll('`', '``')}\``,
    logWrites: [
      'CREATE TABLE log (at bigint AUTO_INCREMENT PRIMARY KEY, token bigint)',
      'CREATE TRIGGER log_inserts AFTER INSERT ON invoices FOR EACH ROW INSERT INTO log (token) VALUES (NEW.fencing_token)',
      'CREATE TRIGGER log_updates AFTER UPDATE ON invoices FOR EACH ROW INSERT INTO log (token) VALUES (NEW.fencing_token)',
    ],
  },
];

/** Resolves with the error, or with what was emitted. */
const outcome = (written: Observable<unknown>): Promise<unknown> => lastValueFrom(written).catch((error) => error);

describe.each(databases)('fencedSql on $name', ({ start, pool, kinds, inTransaction, quote, logWrites }) => {
  let server: TestServer;
  let main: Pool;

  beforeAll(async () => {
    server = await start();
    main = pool(server.url, 10);
  });
  afterAll(async () => {
    await main?.end();
    await server?.[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    await main.ask('DROP TABLE IF EXISTS invoices');
    await main.ask('CREATE TABLE invoices (id bigint PRIMARY KEY, status varchar(200) UNIQUE, fencing_token bigint)');
    await main.ask("INSERT INTO invoices (id, status) VALUES (42, 'open')");
  });

  const write = (token: bigint, status: unknown, more: Partial<SqlWrite> = {}, client = main.client) =>
    outcome(fencedSql(client, { table: 'invoices', key: { id: 42 }, set: { status }, token, ...more }));
  const rows = async () =>
    (await main.ask('SELECT id, status, fencing_token FROM invoices ORDER BY id')).map(
      ({ id, status, fencing_token: token }) => [String(id), status, token === null ? null : String(token)],
    );

  it('writes, and refuses a smaller token afterwards', async () => {
    expect(await write(7n, 'paid')).toBeUndefined();
    expect(await rows()).toEqual([['42', 'paid', '7']]);
    const error = await write(6n, 'late');
    expect(error).toMatchObject({
      _tag: 'StaleToken',
      resource: 'row (id = 42) of table invoices',
      token: 6n,
      seen: 7n,
      canHeal: false,
    });
    expect(String(error)).toMatch(/two stores.*lost its data.*tokenBase greater than 7.*Moving to another store/);
    expect(await rows()).toEqual([['42', 'paid', '7']]);
    expect(await write(8n, 'void')).toBeUndefined();
    expect(await rows()).toEqual([['42', 'void', '8']]);
  });

  it.each([{ create: false }, { create: true }])(
    'takes the same token again, whether something changes or not: %o',
    async (how) => {
      for (const status of ['a', 'b', 'b', 'b']) expect(await write(7n, status, how)).toBeUndefined();
      expect(await rows()).toEqual([['42', 'b', '7']]);
    },
  );

  it('says of a row that is not there that it is not, and makes it where that is asked for', async () => {
    const [key, set] = [{ id: 1 }, { status: 'new' }];
    expect(await write(7n, 'new', { key })).toMatchObject({
      _tag: 'ResourceNotFound',
      resource: 'row (id = 1) of table invoices',
    });
    expect(await rows()).toEqual([['42', 'open', null]]);
    expect(await write(7n, 'new', { key, set, create: true })).toBeUndefined();
    expect(await rows()).toEqual([
      ['1', 'new', '7'],
      ['42', 'open', null],
    ]);
    expect(await write(6n, 'late', { key, create: true })).toMatchObject({ _tag: 'StaleToken', seen: 7n });
    expect(await write(8n, 'next', { key, create: true })).toBeUndefined();
    expect(await rows()).toEqual([
      ['1', 'next', '8'],
      ['42', 'open', null],
    ]);
  });

  it('keeps out earlier holders before anything is written, where there is nothing to set', async () => {
    expect(await write(7n, '', { set: {} })).toBeUndefined();
    expect(await write(6n, 'late')).toMatchObject({ _tag: 'StaleToken', token: 6n, seen: 7n });
    expect(await write(7n, '', { key: { id: 2 }, set: {}, create: true })).toBeUndefined();
    expect(await rows()).toEqual([
      ['2', null, '7'],
      ['42', 'open', '7'],
    ]);
  });

  it('tells tokens and keys apart that are equal as numbers', async () => {
    const big = 2n ** 53n;
    const key = { id: big + 1n };
    await main.ask(`INSERT INTO invoices (id, status) VALUES (${big}, 'a'), (${big + 1n}, 'b'), (${big + 2n}, 'c')`);
    for (const create of [false, true]) {
      expect(await write(big + 1n, 'x', { key, create })).toBeUndefined();
      expect(await write(big, 'y', { key, create })).toMatchObject({ token: big, seen: big + 1n });
    }
    expect(await write(2n ** 63n - 1n, 'z', { key })).toBeUndefined();
    expect(await write(2n ** 63n - 2n, 'y', { key })).toMatchObject({ _tag: 'StaleToken', seen: 2n ** 63n - 1n });
    expect(await rows()).toEqual([
      ['42', 'open', null],
      [`${big}`, 'a', null],
      [`${big + 1n}`, 'z', `${2n ** 63n - 1n}`],
      [`${big + 2n}`, 'c', null],
    ]);
  });

  it('compares as exact numbers also where the columns are of other types', async () => {
    await main.ask('CREATE TABLE exact (id decimal(30,0) PRIMARY KEY, v int, fencing_token decimal(30,0))');
    const big = 2n ** 53n;
    await main.ask(`INSERT INTO exact VALUES (${big}, 0, NULL), (${big + 1n}, 0, NULL)`);
    const of = (token: bigint) => write(token, '', { table: 'exact', key: { id: big + 1n }, set: { v: 1 } });
    expect(await of(big + 1n)).toBeUndefined();
    expect(await of(big)).toMatchObject({ _tag: 'StaleToken', seen: big + 1n });
    expect(await main.ask('SELECT v FROM exact ORDER BY id')).toEqual([{ v: 0 }, { v: 1 }]);
    await main.ask('DROP TABLE exact');
    await main.ask('CREATE TABLE texts (id int PRIMARY KEY, fencing_token varchar(30))');
    await main.ask("INSERT INTO texts VALUES (1, '10')");
    const text = await write(9n, '', { table: 'texts', key: { id: 1 }, set: {} });
    // MySQL compares them as numbers that round; PostgreSQL says that it cannot.
    expect([text]).toMatchObject([quote('').startsWith('"') ? { code: '42883' } : { _tag: 'UnfenceableResource' }]);
    await main.ask('DROP TABLE texts');
  });

  it.each(['float', 'double precision'])('StaleHolderBesideTheNext: does not write to a column of %s', async (type) => {
    await main.ask(`CREATE TABLE inexact (id int PRIMARY KEY, v int, fencing_token ${type})`);
    await main.ask('INSERT INTO inexact VALUES (1, 0, NULL)');
    const refused = {
      _tag: 'UnfenceableResource',
      reason: 'the type of its fencing_token does not tell all tokens apart: make it bigint',
    };
    for (const [id, create] of [
      [1, false],
      [1, true],
      [2, true],
    ] as const)
      expect(await write(7n, '', { table: 'inexact', key: { id }, set: { v: 1 }, create })).toMatchObject(refused);
    expect(await main.ask('SELECT v FROM inexact WHERE id = 1')).toEqual([{ v: 0 }]);
    await main.ask('DROP TABLE inexact');
  });

  it('StaleHolderBesideTheNext: the writes of several at once are in the order of their tokens, whoever is late', async () => {
    await main.ask('DROP TABLE IF EXISTS log');
    for (const statement of logWrites) await main.ask(statement);
    const random = randomOf('late holders');
    const pools = [pool(server.url, 5), pool(server.url, 5)] as const;
    const results: unknown[] = [];
    try {
      await Promise.all(
        Array.from({ length: 300 }, async (_, index) => {
          const token = BigInt(1 + Math.floor(index / 30) + random.between(0, 3));
          const { client } = pools[index % 2] as Pool;
          results.push(await write(token, `${index}`, { create: random.between(0, 1) === 0 }, client));
        }),
      );
    } finally {
      await Promise.all(pools.map((each) => each.end()));
    }
    const log = (await main.ask('SELECT token FROM log ORDER BY at')).map(({ token }) => Number(token));
    const stale = results.filter((result) => result instanceof Error);
    for (const error of stale) expect(error).toMatchObject({ _tag: 'StaleToken' });
    expect(log).toEqual([...log].sort((a, b) => a - b));
    expect(log.length + stale.length).toBe(300);
    expect(stale.length).toBeGreaterThan(20);
    expect(await rows()).toEqual([['42', expect.any(String), `${log.at(-1)}`]]);
  });

  it('lets many make the same row at once, of whom the greatest token stays', async () => {
    const results = await Promise.all(
      Array.from({ length: 30 }, (_, index) => write(BigInt(index), `${index}`, { key: { id: 5 }, create: true })),
    );
    for (const result of results) if (result !== undefined) expect(result).toMatchObject({ _tag: 'StaleToken' });
    expect(await rows()).toEqual([
      ['5', '29', '29'],
      ['42', 'open', null],
    ]);
  });

  it('stands in a transaction, and sees there what others have written since it began', async () => {
    /** Ends it whatever happens: the table would stay locked. */
    const within = async (how: 'COMMIT' | 'ROLLBACK', act: (client: Client) => Promise<void>): Promise<void> => {
      const [client, end] = await inTransaction(server.url);
      await act(client).finally(() => end(how));
    };
    await within('ROLLBACK', async (client) => {
      expect(await write(7n, 'paid')).toBeUndefined();
      expect(await write(6n, 'late', {}, client)).toMatchObject({ _tag: 'StaleToken', token: 6n, seen: 7n });
      expect(await write(6n, 'late', { create: true }, client)).toMatchObject({ _tag: 'StaleToken', seen: 7n });
      expect(await write(8n, 'never mind', {}, client)).toBeUndefined();
    });
    expect(await rows()).toEqual([['42', 'paid', '7']]);
    await within('COMMIT', async (client) => expect(await write(8n, 'void', {}, client)).toBeUndefined());
    expect(await rows()).toEqual([['42', 'void', '8']]);
  });

  it('quotes names and binds values, whatever stands in them', async () => {
    const odd = `a (b" \`; DROP TABLE invoices; -- ' \\ ?$1`;
    const table = `t "\`(${odd}`.slice(0, 50);
    const q = quote;
    const [id, tok] = [`id ${odd}`.slice(0, 50), `tok ${odd}`.slice(0, 50)];
    await main.ask(`CREATE TABLE ${q(table)} (${q(id)} varchar(200) PRIMARY KEY, ${q(odd)} text, ${q(tok)} bigint)`);
    const hostile = `'; DROP TABLE invoices; -- \\' " \` $1 ? \u{1F600} \n`;
    for (const create of [true, false, true]) {
      const of = (token: bigint) =>
        write(token, '', { table, key: { [id]: hostile }, set: { [odd]: hostile }, tokenColumn: tok, create });
      expect(await of(7n)).toBeUndefined();
      expect(await of(6n)).toMatchObject({ _tag: 'StaleToken', seen: 7n });
    }
    expect(await main.ask(`SELECT ${q(odd)} AS value, ${q(id)} AS id FROM ${q(table)}`)).toEqual([
      { value: hostile, id: hostile },
    ]);
    await main.ask(`DROP TABLE ${q(table)}`);
    expect(await rows()).toEqual([['42', 'open', null]]);
  });

  it('finds a table by several names, and a row by several columns', async () => {
    await main.ask(`DROP SCHEMA IF EXISTS billing ${quote('').startsWith('"') ? 'CASCADE' : ''}`);
    await main.ask('CREATE SCHEMA billing');
    await main.ask('CREATE TABLE billing.lines (a int, b int, v int, fencing_token bigint, PRIMARY KEY (a, b))');
    const of = (token: bigint, b: number, create: boolean) =>
      write(token, '', { table: ['billing', 'lines'], key: { a: 1, b }, set: { v: b }, create });
    expect(await of(1n, 1, false)).toMatchObject({ resource: 'row (a = 1, b = 1) of table billing.lines' });
    for (const b of [1, 2, 1]) expect(await of(2n, b, true)).toBeUndefined();
    expect(await of(1n, 2, true)).toMatchObject({ _tag: 'StaleToken' });
    expect(await main.ask('SELECT a, b, v FROM billing.lines ORDER BY b')).toEqual([
      { a: 1, b: 1, v: 1 },
      { a: 1, b: 2, v: 2 },
    ]);
  });

  it('tells what the database says, as it is', async () => {
    expect(await write(1n, 'x', { table: 'no_such_table' })).toMatchObject({
      code: expect.stringMatching(/42P01|NO_SUCH/),
    });
    expect(await write(1n, 'x', { tokenColumn: 'seen' })).toMatchObject({
      code: expect.stringMatching(/42703|BAD_FIELD/),
    });
    // Another unique column is taken: that is no row of this key.
    await main.ask("INSERT INTO invoices (id, status) VALUES (43, 'taken')");
    for (const id of [42, 44])
      expect(await write(1n, 'taken', { key: { id }, create: true })).toMatchObject({
        code: expect.stringMatching(/23505|DUP_ENTRY/),
      });
    expect(await rows()).toEqual([
      ['42', 'open', null],
      ['43', 'taken', null],
    ]);
  });

  it('says that a key which names several rows is none', async () => {
    await main.ask('CREATE TABLE twice (a int, fencing_token bigint)');
    await main.ask('INSERT INTO twice VALUES (1, 1), (1, 1)');
    const twice = { table: 'twice', key: { a: 1 }, set: {} } as const;
    for (const token of [5n, 0n])
      expect(await write(token, '', twice)).toMatchObject({
        _tag: 'InvalidOptions',
        violations: [expect.stringMatching(/^key must name one row, but there are 2 of row \(a = 1\) of table twice/)],
      });
    await main.ask('DROP TABLE twice');
  });

  it('writes for each subscription, and not before', async () => {
    const written = fencedSql(main.client, { table: 'invoices', key: { id: 42 }, set: { status: 'paid' }, token: 7n });
    expect(await rows()).toEqual([['42', 'open', null]]);
    await lastValueFrom(written);
    await main.ask("UPDATE invoices SET status = 'open'");
    await lastValueFrom(written);
    expect(await rows()).toEqual([['42', 'paid', '7']]);
  });

  it('takes every kind of client', async () => {
    for (const [kind, open] of kinds(server.url)) {
      const [client, end] = await open();
      try {
        await main.ask("UPDATE invoices SET status = 'open', fencing_token = NULL");
        for (const how of [{}, { create: true }]) {
          for (const status of ['paid', 'paid', 'void', 'void'])
            expect(await write(7n, status, how, client), kind).toBeUndefined();
          expect(await write(6n, 'late', how, client), kind).toMatchObject({ _tag: 'StaleToken', seen: 7n });
        }
        expect(await write(6n, 'x', { key: { id: 1 } }, client), kind).toMatchObject({ _tag: 'ResourceNotFound' });
        expect(await rows(), kind).toEqual([['42', 'void', '7']]);
      } finally {
        await end();
      }
    }
  });

  it('keeps a holder out that was paused while another had the lock', async () => {
    const backend = connect('memory:');
    const paused = await firstValueFrom(lock(backend, 'invoice-42'));
    const next = withLock(backend, 'invoice-42', ({ token }) =>
      fencedSql(main.client, { table: 'invoices', key: { id: 42 }, set: { status: 'of the next' }, token }),
    );
    await lastValueFrom(next);
    expect(await write(paused.token, 'of the past')).toMatchObject({ _tag: 'StaleToken', token: paused.token });
    expect(await rows()).toMatchObject([['42', 'of the next', expect.any(String)]]);
    await backend.close();
  });
});

describe('fencedSql on a MariaDB that is not strict', () => {
  it('StaleHolderBesideTheNext: a column that is too narrow clips the token, and that is told', async () => {
    await using server = await startMariaDb();
    const client = await mysql.createConnection(server.url);
    try {
      await client.query("SET sql_mode = ''");
      await client.query('CREATE TABLE narrow (id int PRIMARY KEY, v int, fencing_token int)');
      await client.query('INSERT INTO narrow VALUES (1, 0, NULL)');
      const write = (token: bigint, id: number, create: boolean) =>
        outcome(fencedSql(client, { table: 'narrow', key: { id }, set: { v: 1 }, token, create }));
      for (const [token, id, create] of [
        [5_000_000_000n, 1, false],
        [4_000_000_000n, 1, true],
        [5_000_000_000n, 2, true],
      ] as const)
        expect(await write(token, id, create)).toMatchObject({
          _tag: 'UnfenceableResource',
          reason: `its fencing_token holds 2147483647 where ${token} was written, with all else: its type is too narrow, make it bigint`,
        });
      expect(await write(7n, 3, true)).toBeUndefined();
      expect(await write(8n, 3, false)).toBeUndefined();
    } finally {
      await client.end();
    }
  });
});

describe('fencedSql', () => {
  const client = { query: async () => ({ rowCount: 1, rows: [] }) };
  const right = { table: 't', key: { id: 1 }, set: { a: 1 }, token: 1n };
  const violations = (write: unknown, its: unknown = client): unknown => {
    try {
      fencedSql(its as never, write as never);
      return undefined;
    } catch (error) {
      return (error as { violations?: unknown }).violations ?? error;
    }
  };

  it.each([
    [{ token: 1 }, /^token must be the token of a grant/],
    [{ token: -1n }, /^token must be/],
    [{ token: 2n ** 63n }, /^token must be/],
    [{ token: undefined }, /^token must be/],
    [{ table: '' }, /^table must be/],
    [{ table: [] }, /^table must have a name/],
    [{ table: ['a', ''] }, /^table must be/],
    [{ table: 'a\0b' }, /^table must be/],
    [{ table: undefined }, /^table must be/],
    [{ key: {} }, /^key must name a column/],
    [{ key: { id: null } }, /^key\["id"\] must have a value/],
    [{ key: { id: undefined } }, /^key\["id"\] must be something/],
    [{ key: { '': 1 } }, /^a name in key must be/],
    [{ key: undefined }, /^key must be/],
    [{ key: [1] }, /^key must be/],
    [{ key: { fencing_token: 1 } }, /^key\["fencing_token"\] must be left out/],
    [{ set: { fencing_token: 1 } }, /^set\["fencing_token"\] must be left out/],
    [{ set: { seen: 1 }, tokenColumn: 'seen' }, /^set\["seen"\] must be left out/],
    [{ set: { id: 2 } }, /^"id" must not be in both/],
    [{ set: { a: undefined } }, /^set\["a"\] must be something/],
    [{ set: { a: () => 1 } }, /^set\["a"\] must be something/],
    [{ set: null }, /^set must be/],
    [{ set: 'a' }, /^set must be/],
    [{ create: 'yes' }, /^create must be true or false/],
    [{ tokenColumn: '' }, /^tokenColumn must be/],
    [{ upsert: true }, /^upsert is not an option/],
    [{ tokenColum: 'x' }, /is tokenColumn meant/],
  ])('refuses %o at the call', (wrong, words) => {
    expect(violations({ ...right, ...wrong })).toEqual([expect.stringMatching(words)]);
  });

  it('refuses what is no write at all, and what is no client', () => {
    for (const none of [undefined, null, 7])
      expect(violations(none)).toEqual([expect.stringMatching(/must be an object/)]);
    for (const none of [null, 7, {}, { execute: () => 1 }])
      expect(violations(right, none)).toEqual([expect.stringMatching(/^client must be a client or pool of 'pg'/)]);
    expect(violations(right)).toBeUndefined();
  });

  it('refuses a client with callbacks, and says what to do', async () => {
    const pool = callbackMysql.createPool({ host: '127.0.0.1', port: 1 });
    expect(violations(right, pool)).toEqual([expect.stringMatching(/give client\.promise\(\)$/)]);
    await pool.promise().end();
  });

  it('does not take an answer that says nothing for one that says yes', async () => {
    for (const answer of [undefined, {}, [], { rowCount: null, rows: [] }, { affectedRows: 1 }])
      expect(await outcome(fencedSql({ query: async () => answer } as never, right))).toMatchObject({
        _tag: 'InvalidOptions',
      });
  });

  it('tells what something else than a token in its place is', async () => {
    const answers = [
      { rowCount: 0, rows: [] },
      { rowCount: 1, rows: [{ seen: '5.00' }] },
    ];
    expect(await outcome(fencedSql({ query: async () => answers.shift() } as never, right))).toMatchObject({
      _tag: 'UnfenceableResource',
      reason: 'its fencing_token is "5.00"',
    });
  });

  it('says which options of a client are meant where it does not give text', async () => {
    for (const row of [{ seen: Buffer.from('7') }, { seen: 7 }, [], { a: '1', b: '2' }, undefined]) {
      const answers = [
        { rowCount: 0, rows: [] },
        { rowCount: 1, rows: [row] },
      ];
      expect(await outcome(fencedSql({ query: async () => answers.shift() } as never, right))).toMatchObject({
        _tag: 'InvalidOptions',
        message: expect.stringMatching(/rowMode, rowsAsArray, nestTables, typeCast, types/),
      });
    }
  });

  it('gives up on a row that comes and goes in the very moment', async () => {
    let asked = 0;
    const query = async () => (++asked % 2 === 1 ? { rowCount: 0, rows: [] } : { rowCount: 1, rows: [{ seen: '1' }] });
    expect(await outcome(fencedSql({ query } as never, right))).toMatchObject({
      _tag: 'ResourceChanged',
      canHeal: true,
    });
    expect(asked).toBe(6);
  });
});

import { type Fenced, fenced, fencedHttp, fencedRedis, fencedSql, type Grant } from 'conclave';
import type { Cluster, Redis } from 'ioredis';
import type { Redis as Redis5 } from 'ioredis-5';
import type { Connection as CallbackConnection } from 'mysql2';
import type { Connection, Pool as MySqlPool, PoolConnection } from 'mysql2/promise';
import type { Client, Pool, PoolClient } from 'pg';
import type { createClient, createCluster } from 'redis';
import type { createClient as createClient5 } from 'redis-5';
import { type Observable, of } from 'rxjs';
import { describe, expectTypeOf, it } from 'vitest';

declare const grant: Grant;
const { token } = grant;

describe('fenced', () => {
  it('stamps items of any type', () => {
    expectTypeOf(of({ id: 1 }).pipe(fenced(grant))).toEqualTypeOf<Observable<Fenced<{ id: number }>>>();
    of(1)
      .pipe(fenced(grant))
      .subscribe(({ value, token }) => {
        expectTypeOf(value).toEqualTypeOf<number>();
        expectTypeOf(token).toEqualTypeOf<bigint>();
      });
    // @ts-expect-error: a token alone does not tell whether it is held
    of(1).pipe(fenced({ token: 1n }));
  });
});

describe('what is written under a token', () => {
  it('goes through every client of pg and mysql2', () => {
    const row = { table: 'invoices', key: { id: 42 }, set: { status: 'paid', at: new Date(), note: null }, token };
    for (const client of [] as (Client | Pool | PoolClient)[])
      expectTypeOf(fencedSql(client, row)).toEqualTypeOf<Observable<void>>();
    for (const client of [] as (Connection | MySqlPool | PoolConnection)[])
      expectTypeOf(fencedSql(client, { ...row, create: true })).toEqualTypeOf<Observable<void>>();
    // @ts-expect-error: one with callbacks; it has promise()
    fencedSql({} as CallbackConnection, row);
    fencedSql({} as Pool, { ...row, table: ['billing', 'invoices'], tokenColumn: 'seen' });
    // @ts-expect-error: a token is a bigint
    fencedSql({} as Pool, { ...row, token: 7 });
    // @ts-expect-error: which row?
    fencedSql({} as Pool, { table: 'invoices', set: {}, token });
  });

  it('goes through every client of ioredis and node-redis', () => {
    const hash = { key: 'invoice:42', set: { status: 'paid', cents: 100n }, token };
    for (const client of [] as (Redis | Redis5 | Cluster)[])
      expectTypeOf(fencedRedis(client, hash)).toEqualTypeOf<Observable<void>>();
    fencedRedis({} as ReturnType<typeof createClient>, hash);
    fencedRedis({} as ReturnType<typeof createClient5>, hash);
    fencedRedis({} as ReturnType<typeof createCluster>, hash);
    // @ts-expect-error: Redis has no booleans
    fencedRedis({} as Redis, { ...hash, set: { paid: true } });
    // @ts-expect-error: no client
    fencedRedis({}, hash);
  });

  it('goes through fetch', () => {
    expectTypeOf(fencedHttp('https://x/42', { set: {}, token })).toEqualTypeOf<Observable<void>>();
    fencedHttp(new URL('https://x/42'), { set: { a: [1] }, token, headers: { authorization: 'x' }, fetch });
    // @ts-expect-error: no such option
    fencedHttp('https://x/42', { set: {}, token, method: 'PATCH' });
  });
});

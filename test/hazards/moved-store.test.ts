import { breakLock, campaign, connect, holders, InvalidOptions, join, LockLost, leader, lock, members } from 'conclave';
import { isSome } from 'fp-ts/lib/Option.js';
import { firstValueFrom } from 'rxjs';
import { expect, test } from 'vitest';

/** What a table has seen of the store that the fleet has left. */
const greatestSeen = 1_795_000_000_000_000n;
const tokenBase = 2_000_000_000_000_000n;

test('after a move to another store every token is greater than what resources have seen of the old one', async () => {
  await using backend = connect('memory:', { tokenBase });
  const tokens: bigint[] = [];
  const holding = lock(backend, 'ledger').subscribe(({ token }) => tokens.push(token));
  const leading = campaign(backend, 'jobs').subscribe((grant) => isSome(grant) && tokens.push(grant.value.token));
  const member = join(backend, 'workers', { id: 'w', create: true }).subscribe(({ token }) => tokens.push(token));
  // Whoever looks sees the tokens that those who hold were told.
  const [holder] = await firstValueFrom(holders(backend, 'ledger'));
  const leads = await firstValueFrom(leader(backend, 'jobs'));
  expect(await firstValueFrom(members(backend, 'workers'))).toEqual(new Set(['w']));
  expect(tokens).toHaveLength(3);
  expect(tokens.every((token) => token > greatestSeen)).toBe(true);
  expect([holder?.token, isSome(leads) && leads.value.token]).toEqual(tokens.slice(0, 2));
  member.unsubscribe();
  leading.unsubscribe();
  holding.unsubscribe();
});

test('a member whose id is taken is told so, and a lock can be broken, whatever is added to tokens', async () => {
  await using backend = connect('memory:', { tokenBase });
  const first = join(backend, 'workers', { id: 'w', create: true }).subscribe();
  await expect(firstValueFrom(join(backend, 'workers', { id: 'w' }))).rejects.toMatchObject({
    name: 'MemberAlreadyExists',
  });
  first.unsubscribe();
  const lost = new Promise((resolve) => lock(backend, 'ledger').subscribe({ error: resolve }));
  expect(await firstValueFrom(breakLock(backend, 'ledger'))).toBe(true);
  const loss = await lost;
  expect(loss).toBeInstanceOf(LockLost);
  expect((loss as LockLost).token).toBeGreaterThan(tokenBase);
});

test('the URL says it, too, without losing digits', async () => {
  await using backend = connect(`memory:?tokenBase=${2n ** 62n}`);
  expect((await firstValueFrom(lock(backend, 'ledger'))).token).toBeGreaterThan(2n ** 62n);
  expect(() => connect('memory:?tokenBase=1.5')).toThrow('tokenBase must be a whole number, but is "1.5"');
});

test.each([-1n, 2n ** 62n + 1n, 5, '5'])('%s is no base', (wrong) => {
  expect(() => connect('memory:', { tokenBase: wrong as bigint })).toThrow(InvalidOptions);
});

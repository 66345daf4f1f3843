import {
  type Codec,
  campaign,
  createGroup,
  holders,
  InvalidPayload,
  join,
  lock,
  memberMap,
  members,
  UndecodablePayload,
  withLock,
} from 'conclave';
import { none, some } from 'fp-ts/lib/Option.js';
import { BehaviorSubject, firstValueFrom, type Observable, of } from 'rxjs';
import { expect } from 'vitest';
import { consistsOf, type Suite } from './stage.js';

/** What every backend promises to carry. */
const MAX_PAYLOAD_BYTES = 64 * 1024;

/** Nothing that JSON, or text, could be. */
const foreign: Codec = { encode: () => Uint8Array.of(0xff, 0xfe, 0x00, 0x80), decode: (bytes) => bytes };

/** JSON for records, as they are for bytes. */
const raw: Codec = {
  encode: (value) => (value instanceof Uint8Array ? value : new TextEncoder().encode(JSON.stringify(value) ?? '')),
  decode: (bytes) => bytes,
};

export function payloadCases({ hazard }: Suite): void {
  hazard('64 KiB of any bytes come back as they were', async (stage) => {
    const backend = stage.backend({ codec: raw });
    const data = Uint8Array.from({ length: MAX_PAYLOAD_BYTES }, (_, i) => (i * 7 + (i >> 8)) % 256);
    await stage.hold(backend, 'ledger', { data });
    const [holder] = await firstValueFrom(holders(stage.backend({ codec: raw }), 'ledger'));
    const seen = holder?.data._tag === 'Some' ? holder.data.value : undefined;
    expect(seen instanceof Uint8Array && Buffer.from(seen).equals(data)).toBe(true);
  });

  hazard('one byte more is refused, and nothing is sent', async (stage) => {
    const backend = stage.backend();
    await firstValueFrom(createGroup(backend, 'crew'));
    const text = 'x'.repeat(MAX_PAYLOAD_BYTES - 1); // and two quotes
    const refused: readonly Observable<unknown>[] = [
      lock(backend, 'ledger', { data: text }),
      withLock(backend, 'ledger', () => of(1), { data: text }),
      campaign(backend, 'chief', { data: text }),
      join(backend, 'crew', { id: 'a', capabilities: text }),
    ];
    for (const source of refused) {
      expect(await stage.probe(source).failure('it is too long')).toBeInstanceOf(InvalidPayload);
    }
    await stage.hold(backend, 'ledger', { data: text.slice(1) });
    expect(await stage.entries('ledger')).toHaveLength(1);
    expect(await stage.entries('chief', 'election')).toEqual([]);
    expect(await stage.entries('crew', 'group')).toEqual([]);
  });

  hazard('what the codec cannot encode is refused, and nothing is sent', async (stage) => {
    const backend = stage.backend();
    const cycle: { self?: unknown } = {};
    cycle.self = cycle;
    for (const data of [cycle, 7n, () => 1, Symbol('s')]) {
      const error = await stage.probe(lock(backend, 'ledger', { data })).failure('it cannot be encoded');
      expect(error).toBeInstanceOf(InvalidPayload);
    }
    expect(await stage.entries('ledger')).toEqual([]);
  });

  hazard('the first capabilities that cannot be encoded are refused, and nothing is left', async (stage) => {
    const backend = stage.backend();
    await firstValueFrom(createGroup(backend, 'crew'));
    const joined = stage.probe(join(backend, 'crew', { id: 'a', capabilities: of(7n, 'good') }));
    expect(await joined.failure('they cannot be encoded')).toBeInstanceOf(InvalidPayload);
    await stage.inLine('crew', 0, 'group');
  });

  hazard(
    'later capabilities that cannot be encoded, or are too large, are a fault, and the last stay',
    async (stage) => {
      const backend = stage.backend();
      const faults = stage.probe(backend.faults$);
      const capabilities = new BehaviorSubject<unknown>('good');
      const { joined, membership } = await stage.join(backend, 'crew', { id: 'a', capabilities, create: true });
      for (const bad of [7n, 'x'.repeat(MAX_PAYLOAD_BYTES - 1)]) {
        capabilities.next(bad);
        expect(faults.last).toBeInstanceOf(InvalidPayload);
      }
      expect(faults.values).toHaveLength(2);
      const seen = stage.probe(memberMap(stage.watcher, 'crew'));
      expect((await seen.first('the member')).get('a')?.capabilities).toBe('good');
      capabilities.next('better');
      await seen.now((all) => all.get('a')?.capabilities === 'better', 'the next good ones');
      expect([joined.hasEnded, membership.isValid(), seen.values.length]).toEqual([false, true, 2]);
    },
  );

  hazard(
    'a member that another client wrote illegibly is skipped and reported, and the stream goes on',
    async (stage) => {
      const watcher = stage.backend();
      const faults = stage.probe(watcher.faults$);
      const map = stage.probe(memberMap(watcher, 'crew'));
      await stage.join(stage.backend(), 'crew', { id: 'a', create: true });
      const stranger = stage.enterGroup(stage.backend({ codec: foreign }), 'crew', foreign.encode(undefined));
      await stage.inLine('crew', 2, 'group');
      const fault = await faults.first('the fault');
      expect(fault).toBeInstanceOf(UndecodablePayload);
      await stage.join(stage.backend(), 'crew', { id: 'b' });
      await map.now(({ size }) => size === 2, 'the member after it');
      expect([...(map.last?.keys() ?? [])]).toEqual(['a', 'b']);
      expect(faults.values).toHaveLength(1);
      stranger.unsubscribe();
      await stage.inLine('crew', 2, 'group');
      await stage.probe(members(watcher, 'crew')).now(consistsOf('a', 'b'), 'both');
    },
  );

  hazard('a holder that wrote illegible data still holds, and is shown without it', async (stage) => {
    const { held } = await stage.hold(stage.backend({ codec: foreign }), 'ledger', { data: 1 });
    const watcher = stage.backend();
    const seen = stage.probe(holders(watcher, 'ledger'));
    const faults = stage.probe(watcher.faults$);
    expect(await seen.first('the holder')).toMatchObject([{ data: none }]);
    const next = stage.probe(lock(stage.backend(), 'ledger', { data: 2 }));
    await stage.inLine('ledger', 2);
    expect(next.values).toEqual([]);
    held.unsubscribe();
    await next.first('the lock');
    await seen.now((line) => line.length === 1 && line[0]?.data._tag === 'Some', 'the next holder');
    expect(seen.last).toMatchObject([{ data: some(2) }]);
    expect(faults.values.length).toBeLessThanOrEqual(1);
  });
}

import type { Backend, Expected, SwapResult } from 'conclave';
import { firstValueFrom, lastValueFrom } from 'rxjs';
import { expect } from 'vitest';
import { bytes, type Suite, textOf } from './stage.js';

const swap = (backend: Backend, key: string, expected: Expected, value: string | undefined): Promise<SwapResult> =>
  lastValueFrom(backend.swap(key, expected, value === undefined ? undefined : bytes(value)));

export function cellCases({ hazard, quirks }: Suite): void {
  hazard('a cell is created once, however many try', async (stage) => {
    expect(quirks.declares.cells).toBe(true);
    const backends = [stage.backend(), stage.backend(), stage.backend()];
    const tries = Array.from({ length: 9 }, (_, i) =>
      swap(backends[i % 3] as (typeof backends)[0], 'config', 'absent', `v${i}`),
    );
    const results = await Promise.all(tries);
    const winner = results.findIndex(({ swapped }) => swapped);
    expect(results.filter(({ swapped }) => swapped)).toHaveLength(1);
    const value = await firstValueFrom(stage.watcher.cell('config'));
    expect(textOf(value?.value ?? bytes('?'))).toBe(`v${winner}`);
    expect(new Set(results.map(({ current }) => current?.version))).toEqual(new Set([value?.version]));
  });

  hazard('a write that expects another version changes nothing, and tells what there is', async (stage) => {
    const backend = stage.backend();
    const { current: first } = await swap(backend, 'config', 'absent', 'one');
    const second = await swap(backend, 'config', first?.version ?? 0n, 'two');
    expect(second.swapped).toBe(true);
    const stale = await swap(stage.backend(), 'config', first?.version ?? 0n, 'three');
    expect(stale.swapped).toBe(false);
    expect(stale.current?.version).toBe(second.current?.version);
    expect(textOf(stale.current?.value ?? bytes('?'))).toBe('two');
    expect((await swap(backend, 'config', 'absent', 'four')).swapped).toBe(false);
    const never = await swap(backend, 'nothing there', first?.version ?? 0n, 'five');
    expect(never).toEqual({ swapped: false, current: undefined });
    expect(await firstValueFrom(stage.watcher.cell('nothing there'))).toBeUndefined();
  });

  hazard('a write that expects anything creates and replaces', async (stage) => {
    const backend = stage.backend();
    expect((await swap(backend, 'config', 'any', 'one')).swapped).toBe(true);
    const second = await swap(backend, 'config', 'any', 'two');
    expect([second.swapped, textOf(second.current?.value ?? bytes('?'))]).toEqual([true, 'two']);
  });

  hazard('a version never comes back, not even after the cell was deleted', async (stage) => {
    const backend = stage.backend();
    const versions: (bigint | undefined)[] = [];
    for (let round = 0; round < 4; round++) {
      const created = await swap(backend, 'config', 'absent', 'same');
      const written = await swap(backend, 'config', created.current?.version ?? 0n, 'same');
      versions.push(created.current?.version, written.current?.version);
      const deleted = await swap(backend, 'config', written.current?.version ?? 0n, undefined);
      expect(deleted).toEqual({ swapped: true, current: undefined });
      const revived = await swap(backend, 'config', written.current?.version ?? 0n, 'stale');
      expect(revived.swapped).toBe(false);
    }
    expect(versions).not.toContain(undefined);
    expect(new Set(versions).size).toBe(8);
  });

  hazard('a deletion that expects another version deletes nothing', async (stage) => {
    const backend = stage.backend();
    const { current: first } = await swap(backend, 'config', 'absent', 'one');
    const { current: second } = await swap(backend, 'config', 'any', 'two');
    expect((await swap(backend, 'config', first?.version ?? 0n, undefined)).swapped).toBe(false);
    expect((await firstValueFrom(stage.watcher.cell('config')))?.version).toBe(second?.version);
    expect((await swap(backend, 'config', 'any', undefined)).swapped).toBe(true);
    expect(await firstValueFrom(stage.watcher.cell('config'))).toBeUndefined();
  });

  hazard(
    'changes of a cell are told, the current value first, none twice, and the last one is the truth',
    async (stage) => {
      const backend = stage.backend();
      const values = stage.probe(stage.watcher.cell('config'));
      expect(await values.first('the absence')).toBeUndefined();
      await swap(backend, 'config', 'any', 'one');
      await values.now((value) => value !== undefined && textOf(value.value) === 'one', 'the first value');
      await swap(backend, 'config', 'any', undefined);
      await values.now((value) => value === undefined, 'the deletion');
      await Promise.all(Array.from({ length: 20 }, (_, i) => swap(backend, 'config', 'any', `v${i}`)));
      const { current } = await swap(backend, 'config', 'any', 'last');
      await values.now((value) => value?.version === current?.version, 'the last value');
      const versions = values.values.map((value) => value?.version);
      expect(versions.filter((version, i) => i > 0 && version === versions[i - 1])).toEqual([]);
      expect(textOf(values.last?.value ?? bytes('?'))).toBe('last');
    },
  );

  hazard('of concurrent increments none is lost', async (stage) => {
    const increment = async (backend: Backend): Promise<void> => {
      for (;;) {
        const current = await firstValueFrom(backend.cell('counter'));
        const count = current === undefined ? 0 : Number(textOf(current.value));
        if ((await swap(backend, 'counter', current?.version ?? 'absent', `${count + 1}`)).swapped) return;
      }
    };
    const backends = [stage.backend(), stage.backend(), stage.backend()];
    await Promise.all(
      backends.map(async (backend) => {
        for (let i = 0; i < 5; i++) await increment(backend);
      }),
    );
    const final = await firstValueFrom(stage.watcher.cell('counter'));
    expect(textOf(final?.value ?? bytes('?'))).toBe('15');
  });

  hazard('an empty value is a value, and every byte comes back', async (stage) => {
    const every = Uint8Array.from({ length: 256 }, (_, byte) => byte);
    for (const value of [new Uint8Array(), every]) {
      const { swapped } = await lastValueFrom(stage.backend().swap('config', 'any', value));
      expect(swapped).toBe(true);
      const read = await firstValueFrom(stage.watcher.cell('config'));
      expect(Buffer.from(read?.value ?? bytes('?')).equals(value)).toBe(true);
    }
  });
}

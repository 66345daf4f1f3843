import { toUndefined } from 'fp-ts/lib/Option.js';
import { of } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { candidates } from '../../src/observables/elections/candidates.js';
import { enveloped, opened } from '../../src/observables/holding/envelope.js';
import { entryOf, ManualTime, scripted } from '../support/virtual-time.js';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('an envelope', () => {
  it('gives back what was put into it, and begins with a byte that no text does', () => {
    const header = { priority: -3, identity: 'pod-0 ü', owner: 'o', since: 2n ** 60n };
    const sealed = enveloped(bytes('"data"'), header);
    expect(sealed[0]).toBe(0);
    expect(opened(sealed)).toEqual({ header, payload: bytes('"data"') });
    // As a part of a larger buffer, as clients give it.
    expect(opened(new Uint8Array([9, ...sealed]).subarray(1)).header).toEqual(header);
  });

  it('is none where there is nothing to say: the payload is the same, byte for byte', () => {
    const payload = bytes('"data"');
    expect(enveloped(payload, { priority: undefined })).toBe(payload);
    expect(opened(payload)).toEqual({ header: {}, payload });
    expect(opened(new Uint8Array())).toEqual({ header: {}, payload: new Uint8Array() });
  });

  it('is none where it only looks like one', () => {
    const sealed = enveloped(bytes('x'), { priority: 1 });
    const head = '{"priority":1}'.length;
    const lookalikes = [
      ...Array.from({ length: sealed.length - 1 - head }, (_, i) => sealed.slice(0, i)),
      new Uint8Array([...sealed.subarray(0, 9), 255, 255, ...sealed.subarray(11)]),
      new Uint8Array([...sealed.subarray(0, 9), 255, 255, ...bytes('{"priority":1}')]),
      new Uint8Array([1, ...sealed.subarray(1)]),
      new Uint8Array([...sealed.subarray(0, 8), 1, ...sealed.subarray(9)]),
      new Uint8Array([...sealed.subarray(0, 9), 0, 1, ...bytes('7')]),
      new Uint8Array([...sealed.subarray(0, 9), 0, 3, ...bytes('{"a')]),
      new Uint8Array([...sealed.subarray(0, 9), 0, 4, ...bytes('null')]),
      new Uint8Array([...sealed.subarray(0, 9), 0, 13, ...bytes('{"since":"x"}')]),
    ];
    for (const one of lookalikes) expect(opened(one)).toEqual({ header: {}, payload: one });
  });

  it('drops fields of another kind', () => {
    const fields = '{"priority":1.5,"identity":7,"owner":null,"since":5}';
    const sealed = new Uint8Array([
      ...enveloped(bytes(''), { priority: 1 }).subarray(0, 9),
      0,
      fields.length,
      ...bytes(fields),
    ]);
    expect(opened(sealed)).toEqual({ header: {}, payload: new Uint8Array() });
  });

  it('is not seen by who looks at candidates: data is as it was given', () => {
    const entry = {
      ...entryOf('e1', 1n),
      payload: enveloped(bytes('{"host":"h"}'), { priority: 4, identity: 'pod-0' }),
    };
    const seen: unknown[] = [];
    const backend = scripted({ entries: of([entry, entryOf('e2', 2n, 'plain')]) }, new ManualTime());
    candidates(backend, 'e').subscribe((line) =>
      seen.push(...line.map((one) => ({ ...one, data: toUndefined(one.data) }))),
    );
    expect(seen).toEqual([
      { id: 'e1', token: 1n, mode: 'exclusive', data: { host: 'h' }, priority: 4, identity: 'pod-0' },
      { id: 'e2', token: 2n, mode: 'exclusive', data: 'plain' },
    ]);
    expect(backend.faults).toEqual([]);
  });
});

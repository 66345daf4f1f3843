import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { MapStore } from '../../examples/map-backend/map-store.js';
import type { Backend } from '../../src/backends/backend.js';
import type { BackendOptions } from '../../src/backends/shared/options.js';
import type { Store } from '../../src/backends/store.js';
import { LocalLink } from '../../src/testing/conformance/local-link.js';
import { type Case, casesOf, parts } from '../../src/testing/conformance/parts.js';
import type { Quirks } from '../../src/testing/conformance/quirks.js';
import { Stage } from '../../src/testing/conformance/stage.js';
import { type LocalStore, withinProcess } from '../../src/testing/conformance/within-process.js';
import type { Alteration } from './mutant.js';
import { explanations, mutants, unguarded } from './rules.js';

const caseLimitMs = 60_000;
const asItIs = (adapter: Store): Store => adapter;

/** The map backend, altered: its quirks, and how to connect to the store that a case shares. */
function mapBackend({ above = asItIs, below = asItIs, server, replicated, declares }: Alteration): {
  readonly quirks: Quirks;
  connect(options: BackendOptions): Backend;
} {
  const newStore = (): LocalStore => {
    const map = new MapStore();
    const store: LocalStore = {
      adapter: (namespace) => below(map.adapter(namespace)),
      stop: () => map.stop(),
      start: (options) => map.start(options),
      expire: (sessionId) => map.expire(sessionId),
      refuse: (reason) => map.refuse(reason),
    };
    return server?.(store) ?? store;
  };
  const store = newStore();
  const quirks = withinProcess({
    name: 'map',
    url: 'map:mutants',
    module: new URL('../../examples/map-backend/map-backend.ts', import.meta.url),
    ttlMs: 2_000,
    hasOwnClock: false,
    store,
    newStore,
    ...(replicated && { newReplicated: () => replicated(newStore()) }),
    altered: above,
    declares: {
      distributed: false,
      fair: true,
      tokensSurviveRestart: true,
      tokensSurviveDataLoss: false,
      consistentFailover: true,
      cells: true,
      ...declares,
    },
  });
  const way = new LocalLink(store, above);
  return { quirks, connect: (options) => way.connect(options) };
}

function casesOn(quirks: Quirks): ReadonlyMap<string, Case> {
  const all = parts.flatMap((part) => Object.values(part.groups).flatMap((group) => casesOf(quirks, part, group)));
  return new Map(all.map((each) => [each.name, each]));
}

/** What a case fails with, or `undefined` where it passes. */
async function failureOf(name: string, alteration: Alteration): Promise<unknown> {
  const { quirks, connect } = mapBackend(alteration);
  const found = casesOn(quirks).get(name);
  if (found === undefined) throw new Error(`the suite has no case that is called: ${name}`);
  await using stage = new Stage({ ...quirks, ttlMs: found.ttlMs }, connect);
  return await found.play(stage).then(
    () => undefined,
    (error: unknown) => error ?? 'nothing',
  );
}

describe.concurrent('the map backend as it is passes every case that catches a mutant', () => {
  for (const name of new Set(mutants.flatMap(({ caughtBy }) => caughtBy)))
    test(name, { timeout: caseLimitMs }, async () => {
      expect(await failureOf(name, {})).toBeUndefined();
    });
});

describe.concurrent('each mutant of it is caught, by name', () => {
  for (const { rule, how, alter, caughtBy } of mutants)
    test(`${rule} — ${how}`, { timeout: caseLimitMs }, async () => {
      const failures = await Promise.all(caughtBy.map((name) => failureOf(name, alter())));
      expect(caughtBy.filter((_, i) => failures[i] === undefined)).toEqual([]);
    });
});

describe('every rule has a mutant', () => {
  const source = (file: string): string => readFileSync(new URL(`../../src/backends/${file}`, import.meta.url), 'utf8');
  const plain = (text: string): string =>
    text
      .replaceAll(/\s*\n\s*(\*(?!\/) ?)?/g, ' ')
      .replaceAll(/\s+/g, ' ')
      .trim();
  const sentencesOf = (text: string): readonly string[] =>
    [...text.matchAll(/\/\*\*(.*?)\*\//gs)]
      .flatMap(([, comment = '']) => plain(comment.replaceAll(/^\s*\*/gm, ' ')).split(/(?<=[.:])\s+(?=[A-Z`*])/))
      .filter((sentence) => sentence !== '');
  const characteristics = /interface Characteristics \{.*?\n\}/s.exec(source('backend.ts'))?.[0] ?? '';
  const sentences = [...sentencesOf(source('store.ts')), ...sentencesOf(characteristics)];
  const rules = mutants.map(({ rule }) => rule);

  test.each(sentences)('%s', (sentence) => {
    const said = [...rules, ...explanations, ...unguarded].some((rule) => sentence.includes(rule));
    expect(said, 'a mutant that breaks it, or a word on why there is none').toBe(true);
  });

  test.each(
    [...characteristics.matchAll(/\/\*\* (.*?)\.? \*\/\n\s*readonly (\w+):/g)].map(([, promise, field]) => [
      field,
      promise,
    ]),
  )('Characteristics.%s: %s', (_, promise = '') => {
    expect(rules.some((rule) => promise.includes(rule))).toBe(true);
  });

  test.each([...rules, ...explanations, ...unguarded])('the port says: %s', (rule) => {
    expect(plain(`${source('store.ts')} ${source('backend.ts')}`)).toContain(rule);
  });
});

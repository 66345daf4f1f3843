import { setTimeout as pause } from 'node:timers/promises';
import type { TestServer } from '../../src/testing/servers/server.js';
import { type Counts, difference } from '../../test/support/counters.js';
import type { Line, Participant, Subject } from './participant.js';
import { medianOf } from './statistics.js';
import type { Reader, Store } from './store.js';

/** How much of everything is done. */
export interface Amounts {
  readonly rounds: number;
  /** So often in a round everybody has a turn at acquiring and releasing, and at reading. */
  readonly turns: number;
  /** One turn. */
  readonly turnMs: number;
  /** One round of contending. */
  readonly contendMs: number;
  /** Hand-overs of each kind in one round. */
  readonly handOvers: number;
  /** Hand-overs that are counted. */
  readonly countedHandOvers: number;
  /** For so long it is counted what those who wait cost. */
  readonly idleMs: number;
}

export const CONTENDERS = 10;
export const WAITERS = 100;
export const WAITED_MS = [20, 200] as const;

/** Everything of one store. */
export interface Findings {
  readonly store: Store;
  readonly version: string;
  /** Milliseconds of one read, by round. */
  readonly readMs: readonly number[];
  readonly figures: readonly Figures[];
}

/** Everything of one participant; by round, where it says nothing else. */
export interface Figures {
  readonly participant: Participant;
  readonly isInstalled: boolean;
  version?: string;
  readonly pairMs: number[];
  /** As often as the floor's of the same round. */
  readonly pairs: number[];
  readonly sectionsPerS: number[];
  /** So many in the time that the floor's one pair took in the same round. */
  readonly sections: number[];
  /** What the contender has that had least, as a part of what that one has that had most. */
  readonly leastOfMost: number[];
  overlaps: number;
  /** By what was waited for; each hand-over, in milliseconds. */
  readonly handOverMs: Readonly<Record<number, number[]>>;
  /** As often as the reading of the same round. */
  readonly handOvers: Readonly<Record<number, number[]>>;
  readonly requestsPerHandOver: number[];
  readonly innerPerHandOver: number[];
  idle?: { readonly requestsPerS: number; readonly innerPerS: number };
}

/** The rounds of all participants take turns; then what is counted on the server, with one participant at a time. */
export async function compare(store: Store, server: TestServer, amounts: Amounts): Promise<Findings> {
  const { url } = server;
  const participants = [store.floor, ...store.participants];
  const subjects = new Map<Participant, Subject>();
  const readMs: number[] = [];
  const figures: Figures[] = [];
  try {
    for (const participant of participants) {
      const subject = await participant.open(url, participant.isUncontendedOnly ? 1 : CONTENDERS);
      figures.push(none(participant, subject));
      if (subject === undefined) continue;
      subjects.set(participant, subject);
      // What is done only once is done, and code has become warm.
      await subject.pairs(amounts.turns * amounts.turnMs);
    }
    await using reader = await store.reader(url);
    for (let round = 0; round < amounts.rounds; round++) {
      console.error(`${store.name}: round ${round + 1} of ${amounts.rounds}`);
      const present = rotated(figures, round).flatMap((each) => {
        const subject = subjects.get(each.participant);
        return subject === undefined ? [] : [{ figures: each, subject }];
      });
      const read = await uncontended(present, reader, amounts);
      readMs.push(read);
      for (const each of present) await contended(each, read, amounts);
      relate(figures);
    }
  } finally {
    for (const subject of subjects.values()) await subject[Symbol.asyncDispose]();
  }
  for (const each of figures) {
    if (!each.isInstalled || each.participant.isUncontendedOnly) continue;
    console.error(`${store.name}: what ${each.participant.name} asks of the server`);
    await count(store, url, each, amounts);
  }
  return { store, version: await store.version(server), readMs, figures };
}

function none(participant: Participant, subject: Subject | undefined): Figures {
  const byWaiting = (): Record<number, number[]> => Object.fromEntries(WAITED_MS.map((waitedMs) => [waitedMs, []]));
  return {
    participant,
    isInstalled: subject !== undefined,
    ...(subject?.version !== undefined && { version: subject.version }),
    pairMs: [],
    pairs: [],
    sectionsPerS: [],
    sections: [],
    leastOfMost: [],
    overlaps: 0,
    handOverMs: byWaiting(),
    handOvers: byWaiting(),
    requestsPerHandOver: [],
    innerPerHandOver: [],
  };
}

interface Present {
  readonly figures: Figures;
  readonly subject: Subject;
}

/** Short turns, one after the other, and the median of them: what else the machine does falls on all alike. */
async function uncontended(present: readonly Present[], reader: Reader, { turns, turnMs }: Amounts): Promise<number> {
  const reads: number[] = [];
  const pairs = present.map((): number[] => []);
  for (let turn = 0; turn < turns; turn++) {
    reads.push(await reading(reader, turnMs));
    for (const [index, { subject }] of present.entries()) pairs[index]?.push(await subject.pairs(turnMs));
  }
  for (const [index, { figures }] of present.entries()) figures.pairMs.push(medianOf(pairs[index] ?? []) ?? Number.NaN);
  return medianOf(reads) ?? Number.NaN;
}

async function contended({ figures, subject }: Present, read: number, amounts: Amounts): Promise<void> {
  if (figures.participant.isUncontendedOnly) return;
  const { sections, overlaps } = await subject.contend(amounts.contendMs);
  figures.sectionsPerS.push((sum(sections) * 1_000) / amounts.contendMs);
  figures.leastOfMost.push(Math.min(...sections) / Math.max(...sections, 1));
  figures.overlaps += overlaps;
  for (const waitedMs of WAITED_MS)
    for (let i = 0; i < amounts.handOvers; i++) {
      const line = await subject.line(1);
      await pause(waitedMs * (1 + Math.random() / 2));
      const tookMs = await line.handOver();
      await line.end();
      figures.handOverMs[waitedMs]?.push(tookMs);
      figures.handOvers[waitedMs]?.push(tookMs / read);
    }
}

/** The round that has just ended, in terms of its floor. */
function relate(all: readonly Figures[]): void {
  const floorMs = all[0]?.pairMs.at(-1) ?? Number.NaN;
  for (const { pairMs, pairs, sectionsPerS, sections } of all) {
    const [last, lastSections] = [pairMs.at(-1), sectionsPerS.at(-1)];
    if (last !== undefined) pairs.push(last / floorMs);
    if (lastSections !== undefined) sections.push((lastSections * floorMs) / 1_000);
  }
}

async function count(store: Store, url: string, figures: Figures, amounts: Amounts): Promise<void> {
  const { participant } = figures;
  const subject = await participant.open(url, CONTENDERS);
  if (subject === undefined) return;
  await using _ = subject;
  const requests = participant.requests ?? store.requests;
  const changed = async (act: () => Promise<unknown>): Promise<{ readonly asked: number; readonly inner: number }> => {
    const before = await store.counts(url);
    await act();
    const change = difference(before, await store.counts(url));
    const asked = requestsIn(change, requests);
    return { asked, inner: (change['total'] ?? asked) - asked };
  };
  for (let i = 0; i < amounts.countedHandOvers; i++) {
    const line = await subject.line(1);
    await pause(WAITED_MS[1]);
    const { asked, inner } = await changed(async () => {
      await line.handOver();
      // What is sent, and not awaited, arrives.
      await pause(AFTERMATH_MS);
    });
    await line.end();
    figures.requestsPerHandOver.push(asked);
    figures.innerPerHandOver.push(inner);
  }
  const line: Line = await subject.line(WAITERS);
  await pause(SETTLING_MS);
  const beganMs = performance.now();
  const { asked, inner } = await changed(() => pause(amounts.idleMs));
  const seconds = (performance.now() - beganMs) / 1_000;
  figures.idle = { requestsPerS: asked / seconds, innerPerS: inner / seconds };
  await line.handOver();
  await line.end();
}

const AFTERMATH_MS = 50;
/** Until a hundred stand in line, and watch what they watch. */
const SETTLING_MS = 3_000;

function requestsIn(counts: Counts, requests: RegExp): number {
  return sum(Object.entries(counts).map(([name, calls]) => (requests.test(name) ? calls : 0)));
}

async function reading(reader: Reader, durationMs: number): Promise<number> {
  const beganMs = performance.now();
  let reads = 0;
  let tookMs = 0;
  for (; tookMs < durationMs; reads++) {
    await reader.read();
    tookMs = performance.now() - beganMs;
  }
  return tookMs / reads;
}

/** Nobody always comes after the same one. */
function rotated<T>(all: readonly T[], by: number): readonly T[] {
  const from = by % all.length;
  return [...all.slice(from), ...all.slice(0, from)];
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

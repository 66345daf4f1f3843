import { setTimeout as delay } from 'node:timers/promises';
import { check, integer } from '../../backends/shared/expectations.js';
import type { TestServer } from './server.js';
import type { TestStore } from './test-store.js';

/** A store whose nodes elect a leader among them; where there is one node, it leads. */
export interface TestCluster extends TestStore {
  /** Resolves as soon as a majority agrees on one; after a fault it takes a while until it is another one. */
  leader(otherThan?: TestServer): Promise<TestServer>;
  /** Whether a majority agrees on one now. */
  isLed(): Promise<boolean>;
  /** Cuts `node` off from the other nodes, not from its clients: the connections stay and carry nothing. */
  cutOff(node: TestServer): void;
  /** Joins again what was cut off. */
  rejoin(): Promise<void>;
}

/** Throws `InvalidOptions` unless so many servers can form a store here. */
export function checkNodes(nodes: unknown): void {
  check({ nodes }, { nodes: integer(1, 7) });
}

export function atLeastOne(servers: readonly TestServer[]): TestStore['nodes'] {
  const [first, ...others] = servers;
  if (first === undefined) throw new Error('a store has at least one node');
  return [first, ...others];
}

const leaderLimitMs = 30_000;
const betweenLooksMs = 50;

/** Asks `findLeader` until it knows; its rejections mean "not yet". */
export async function untilLed(
  product: string,
  findLeader: () => Promise<TestServer | undefined>,
  otherThan?: TestServer,
): Promise<TestServer> {
  const deadline = performance.now() + leaderLimitMs;
  let lastError: unknown;
  while (performance.now() < deadline) {
    const leader = await findLeader().catch((error: unknown) => {
      lastError = error;
      return undefined;
    });
    if (leader !== undefined && leader !== otherThan) return leader;
    await delay(betweenLooksMs);
  }
  const which = otherThan === undefined ? 'leader' : `leader other than ${otherThan}`;
  throw new Error(`the ${product} cluster had no ${which} within ${leaderLimitMs} ms`, { cause: lastError });
}

import type { TestServer } from '../../src/testing/servers/server.js';
import type { Counts } from '../../test/support/counters.js';
import type { Participant } from './participant.js';

/** A store, and who is compared on it. */
export interface Store {
  readonly name: string;
  start(): Promise<TestServer>;
  version(server: TestServer): Promise<string>;
  /** What the server counts. */
  counts(url: string): Promise<Counts>;
  /** Which of the counts are requests. */
  readonly requests: RegExp;
  /** What is counted besides: calls from within scripts. */
  readonly total?: string;
  /** The least that a lock can cost one client, sent by a bare client. */
  readonly floor: Participant;
  /** The others, conclave among them. */
  readonly participants: readonly Participant[];
  /** A bare client that reads one value. */
  reader(url: string): Promise<Reader>;
}

export interface Reader extends AsyncDisposable {
  /** One round trip. */
  read(): Promise<unknown>;
}

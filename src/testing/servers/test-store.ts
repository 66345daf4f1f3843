import { filter, firstValueFrom, map, timeout } from 'rxjs';
import type { Backend } from '../../backends/backend.js';
import { disposeAll, type StartOptions, type TestServer } from './server.js';

/**
 * A real store: one server, or several that form one. What the store is told, all of its nodes are told at once;
 * `host`, `port`, `pid` and `dataDir` are those of the first node.
 */
export interface TestStore extends TestServer {
  /** Names every node: what `connect` takes. */
  readonly url: string;
  /** Each can be killed, stopped, paused, resumed and started by itself. */
  readonly nodes: readonly [TestServer, ...TestServer[]];
  /**
   * Ends a session on the store as if its ttl had run out: what stands in it is gone, and its owner is told when it
   * next hears from the store. `session` is a backend, whose session of this moment is meant, or a session's id.
   * Rejects when the store has no such session, and when the backend has none within 10 seconds.
   */
  expireSession(session: string | Pick<Backend, 'session$'>): Promise<void>;
}

/** How long `expireSession` waits for a backend that is just connecting. */
const sessionLimitMs = 10_000;

/** Makes one store of servers that run. */
export class ServerGroup implements TestStore {
  constructor(
    readonly url: string,
    readonly nodes: TestStore['nodes'],
    /** Ends the session with this id, asking `node` to do so; `false` if there is none. */
    private readonly endSession: (node: TestServer, id: string) => Promise<boolean>,
    /** What else goes when the store goes. */
    private readonly rest: readonly (AsyncDisposable | Disposable)[] = [],
  ) {}

  get product(): string {
    return this.nodes[0].product;
  }

  get host(): string {
    return this.nodes[0].host;
  }

  get port(): number {
    return this.nodes[0].port;
  }

  get pid(): number {
    return this.nodes[0].pid;
  }

  get dataDir(): string {
    return this.nodes[0].dataDir;
  }

  start(options?: StartOptions): Promise<void> {
    return this.#all((node) => node.start(options));
  }

  stop(): Promise<void> {
    return this.#all((node) => node.stop());
  }

  kill(): Promise<void> {
    return this.#all((node) => node.kill());
  }

  async restart(options?: StartOptions): Promise<void> {
    await this.stop();
    await this.start(options);
  }

  pause(): Promise<void> {
    return this.#all((node) => node.pause());
  }

  resume(): void {
    for (const node of this.nodes) node.resume();
  }

  log(): string {
    if (this.nodes.length === 1) return this.nodes[0].log();
    return this.nodes.map((node) => `${node}:\n${node.log()}`).join('\n');
  }

  async expireSession(session: string | Pick<Backend, 'session$'>): Promise<void> {
    const id = typeof session === 'string' ? session : await sessionIdOf(session);
    const failures: unknown[] = [];
    for (const node of this.nodes) {
      try {
        if (await this.endSession(node, id)) return;
      } catch (error) {
        failures.push(error);
      }
    }
    const why = failures.length === this.nodes.length ? 'none of its nodes could be asked' : 'it has no such session';
    throw new Error(`${this} cannot expire the session ${id}: ${why}`, { cause: failures[0] });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const rest = this.rest.map((each) =>
      Symbol.asyncDispose in each ? each : { [Symbol.asyncDispose]: async () => each[Symbol.dispose]() },
    );
    try {
      await disposeAll(this.nodes);
    } finally {
      await disposeAll(rest);
    }
  }

  toString(): string {
    return this.nodes.map(String).join(', ');
  }

  /** All at once: nodes that form one store answer only when enough of them are there. */
  async #all(act: (node: TestServer) => Promise<void>): Promise<void> {
    const results = await Promise.allSettled(this.nodes.map(act));
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }
}

function sessionIdOf({ session$ }: Pick<Backend, 'session$'>): Promise<string> {
  const none = `the backend has no session within ${sessionLimitMs} ms`;
  return firstValueFrom(
    session$.pipe(
      filter((session) => session.state === 'live' || session.state === 'suspended'),
      map(({ id }) => id),
      timeout({
        first: sessionLimitMs,
        with: () => {
          throw new Error(none);
        },
      }),
    ),
  );
}

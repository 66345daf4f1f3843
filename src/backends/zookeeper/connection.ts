import { type Observable, of } from 'rxjs';
import { Code, codeOf, onRefusal, Refused } from './failures.js';
import { override, type RawEvent, type RawResult, type RawStat } from './raw-client.js';
import { ReadWindow } from './read-window.js';
import { type Fired, Watches, type WatchKind } from './watches.js';
import { type ConnectionObserver, type ConnectionOptions, Wire } from './wire.js';

/** What the answer to a read has besides the data: the node's statistics. */
const STAT_BYTES = 80;
const REMOVE_WATCHES = 18;
const CREATE_CONTAINER = 19;
/** Where a request says what it is: after its length and its number. */
const TYPE_AT = 8;
/** A request type whose answer has no body: how the client is told to read the answer to one that it does not know. */
const BODILESS = 2;
/** What an event tells. */
const NODE_DELETED = 2;
/** No node has it, and it does not stand for any. */
const NO_VERSION = -2;

export interface Stat {
  readonly czxid: bigint;
  readonly mzxid: bigint;
  readonly version: number;
  /** The session that it goes with; 0 where it stays. */
  readonly owner: bigint;
}

/** A container is deleted by the server some time after the last of its children has gone. */
export type NodeKind = 'persistent' | 'ephemeral' | 'ephemeralSequential' | 'container';

const MODES: Readonly<Record<NodeKind, number>> = {
  persistent: 0,
  ephemeral: 1,
  ephemeralSequential: 3,
  container: 4,
};

export type Step =
  | { readonly act: 'create'; readonly path: string; readonly data: Uint8Array; readonly kind: NodeKind }
  | { readonly act: 'set'; readonly path: string; readonly data: Uint8Array; readonly version: number }
  | { readonly act: 'remove' | 'check'; readonly path: string; readonly version: number };

/** What a step of a transaction came to: the name of a node that was made, or what one that was written is like. */
export interface Answer {
  readonly path?: string | undefined;
  readonly stat?: Stat | undefined;
}

/** The requests that ZooKeeper takes, and the watches that some of them leave. */
export class Connection extends Wire {
  readonly #acls: readonly unknown[];
  readonly #reads = new ReadWindow();
  readonly #lists = new ReadWindow();
  readonly #watches = new Watches((kind, path) => this.#forget(kind, path));
  readonly #onData = (event: RawEvent): void => this.#watches.fire('data', event.path, event.type === NODE_DELETED);
  readonly #onChild = (event: RawEvent): void => this.#watches.fire('child', event.path, event.type === NODE_DELETED);

  constructor(options: ConnectionOptions, observer: ConnectionObserver) {
    super(options, observer);
    const { ACL, Id } = options.module;
    this.#acls = options.acl?.map(({ permissions, scheme, id }) => new ACL(permissions, new Id(scheme, id))) ?? [];
  }

  create(path: string, data: Uint8Array, kind: NodeKind): Observable<string> {
    return this.call(
      `create ${path}`,
      (done) => {
        const create = (): void =>
          this.client.create(path, ...this.#creation(data, kind), (error: Error | undefined, made: string) =>
            done(error, made),
          );
        if (kind === 'container') this.#asContainer(create);
        else create();
      },
      data.length,
    );
  }

  /** `version` -1 stands for whichever. */
  remove(path: string, version = -1): Observable<void> {
    return this.call(`delete ${path}`, (done) => this.client.remove(path, version, (error) => done(error, undefined)));
  }

  exists(path: string, watched = false): Observable<Stat | undefined> {
    return this.call(`look at ${path}`, (done) =>
      this.client.exists(path, watched ? this.#onData : undefined, (error, stat) => {
        if (!error && watched) this.#watches.armed('data', path);
        done(error, stat ? toStat(stat) : undefined);
      }),
    );
  }

  /** A node that is not there is refused with `noNode`, and not watched. */
  read(path: string, watched = false): Observable<{ readonly data: Buffer; readonly stat: Stat }> {
    const read = this.call<{ readonly data: Buffer; readonly stat: Stat }>(`read ${path}`, (done) =>
      this.client.getData(path, watched ? this.#onData : undefined, (error, data, stat) => {
        if (error) return done(error);
        if (watched) this.#watches.armed('data', path);
        done(undefined, { data: data ?? Buffer.alloc(0), stat: toStat(stat) });
      }),
    );
    return this.#reads.through(read, ({ data }) => data.length + STAT_BYTES);
  }

  /** A node that is not there is refused with `noNode`, and not watched. */
  children(path: string, watched = false): Observable<readonly string[]> {
    const list = this.call<readonly string[]>(`list ${path}`, (done) =>
      this.client.getChildren(path, watched ? this.#onChild : undefined, (error, children) => {
        if (!error && watched) this.#watches.armed('child', path);
        done(error, children ?? []);
      }),
    );
    return this.#lists.through(list, (names) => names.reduce((sum, name) => sum + name.length + 4, STAT_BYTES));
  }

  write(path: string, data: Uint8Array, version = -1): Observable<Stat> {
    return this.call(
      `write ${path}`,
      (done) =>
        this.client.setData(path, toBuffer(data), version, (error, stat) =>
          error ? done(error) : done(undefined, toStat(stat)),
        ),
      data.length,
    );
  }

  /** All of the steps, or none. */
  transact(operation: string, steps: readonly Step[]): Observable<readonly Answer[]> {
    const send = (done: (error: Error | null | undefined, answers?: readonly Answer[]) => void): void => {
      const transaction = this.client.transaction();
      for (const step of steps) {
        if (step.act === 'create') transaction.create(step.path, ...this.#creation(step.data, step.kind));
        else {
          if (step.act === 'set') transaction.setData(step.path, toBuffer(step.data), step.version);
          else transaction[step.act](step.path, step.version);
          // The client takes version 0 for "whichever": then nothing would be compared.
          const made = transaction.ops.at(-1);
          if (made !== undefined) made.version = step.version;
        }
      }
      transaction.commit((error, results) => {
        const step = results?.findIndex(({ err }) => err !== undefined && err !== 0) ?? -1;
        const refused = steps[step];
        if (error && refused)
          done(new Refused(codeOf(error), `${operation}: ${refused.act} ${refused.path}`, error, step));
        else done(error, (results ?? []).map(toAnswer));
      });
    };
    return this.call(
      operation,
      send,
      steps.reduce((sum, step) => sum + ('data' in step ? step.data.length : 0), 0),
    );
  }

  /**
   * A write that changes nothing, whatever stands at `path`: it is refused, and the refusal committed as any write is. A
   * transaction, since of other writes a server may refuse by itself those for which the right is missing
   * (`enableEagerACLCheck`), and goes on doing so when it has lost its leader.
   */
  beat(path: string): Observable<unknown> {
    return this.transact('renew', [{ act: 'check', path, version: NO_VERSION }]).pipe(
      onRefusal([Code.noNode, Code.badVersion, Code.noAuth], () => of(undefined)),
    );
  }

  /** Calls `fired` once when something read with `watched` changes, until what is returned is called. */
  listen(kind: WatchKind, path: string, fired: Fired): () => void {
    return this.#watches.listen(kind, path, fired);
  }

  /** Ends the session on the server; completes when it says so. */
  closeSession(): Observable<void> {
    return this.call('close the session', (done) => {
      const manager = this.client.connectionManager;
      const { queue } = manager;
      // The client gives no answer to its own request, so the answer is asked for on its behalf.
      override(manager, { queue: (request) => queue.call(manager, request, (error) => done(error, undefined)) });
      this.client.close();
      override(manager, { queue });
    });
  }

  /** The client knows no such request; its answer begins as that to any creation does. */
  #asContainer(create: () => void): void {
    const manager = this.client.connectionManager;
    const { queue } = manager;
    override(manager, {
      queue: (request, done) => {
        const { toBuffer } = request;
        const toRequest = (): Buffer => {
          const packet = toBuffer.call(request);
          packet.writeInt32BE(CREATE_CONTAINER, TYPE_AT);
          return packet;
        };
        queue.call(manager, override(request, { toBuffer: toRequest }), done);
      },
    });
    create();
    override(manager, { queue });
  }

  #creation(data: Uint8Array, kind: NodeKind): unknown[] {
    return [toBuffer(data), ...(this.#acls.length > 0 ? [this.#acls] : []), MODES[kind]];
  }

  /** The client knows no such request, so it is made by hand; whatever the server answers to it will do. */
  #forget(kind: WatchKind, path: string): void {
    if (!this.isUp) return;
    const { watcherManager, chrootPath = '' } = this.client.connectionManager;
    for (const watchers of kind === 'data'
      ? [watcherManager.dataWatchers, watcherManager.existenceWatchers]
      : [watcherManager.childWatchers])
      delete watchers[path];
    const fullPath = Buffer.from(`${chrootPath}${path}`);
    const header = { type: BODILESS, xid: 0 };
    const ints = (...values: number[]): Buffer => Buffer.from(Int32Array.from(values).buffer).swap32();
    const toRequest = (): Buffer => {
      const body = Buffer.concat([
        ints(header.xid, REMOVE_WATCHES, fullPath.length),
        fullPath,
        ints(kind === 'data' ? 2 : 1),
      ]);
      return Buffer.concat([ints(body.length), body]);
    };
    this.call(`forget ${path}`, (done) =>
      this.client.connectionManager.queue({ header, payload: null, toBuffer: toRequest }, (error) =>
        done(error, undefined),
      ),
    ).subscribe({ error: () => undefined });
  }
}

function toStat({ czxid, mzxid, version, ephemeralOwner }: RawStat): Stat {
  return {
    czxid: czxid.readBigInt64BE(),
    mzxid: mzxid.readBigInt64BE(),
    version,
    owner: ephemeralOwner.readBigInt64BE(),
  };
}

function toAnswer({ path, stat }: RawResult): Answer {
  return { path, stat: stat && toStat(stat) };
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

import {
  EMPTY,
  exhaustMap,
  filter,
  from,
  ignoreElements,
  interval,
  map,
  merge,
  type Observable,
  of,
  retry,
  Subject,
  switchMap,
  take,
  tap,
  throwError,
  timer,
} from 'rxjs';
import { reconnectMs } from '../shared/options.js';
import { type Address, firstAnswer, type NatMap, translated, unique } from './addresses.js';
import { listsIn, texts } from './replies.js';
import { type Dial, MovedAway, type Wire, type WireOptions } from './wire.js';

/** Sentinels, and how they are reached. */
export interface SentinelsGiven {
  /** Under which they know the master. */
  readonly name: string;
  readonly nodes: readonly Address[];
  readonly natMap: NatMap | undefined;
  /** Whether to ask them for others. */
  readonly areOthersSought: boolean;
  readonly dial: Dial;
}

const SWITCHED = '+switch-master';

/**
 * The connections to the master that sentinels name. A master that they have replaced goes on for seconds as if nothing
 * had happened, so each connection listens at all of them, and ends as soon as one says so.
 */
export class Sentinels {
  #known: readonly Address[];

  constructor(
    private readonly given: SentinelsGiven,
    private readonly dialMaster: Dial,
  ) {
    this.#known = given.nodes;
  }

  dial(options: WireOptions): Observable<Wire> {
    return this.#master(options).pipe(
      switchMap((master) =>
        this.dialMaster(options, master).pipe(
          switchMap((wire) => merge(of(wire), ...this.#known.map((node) => this.#switched(node, master, options)))),
        ),
      ),
    );
  }

  #master(options: WireOptions): Observable<Address> {
    return firstAnswer(this.#known, (node) =>
      this.given.dial(quiet(options), node).pipe(
        switchMap((wire) => this.#ask(wire)),
        take(1),
        // Next time, whoever answered is asked first.
        tap(({ others }) => {
          this.#known = unique([node, ...this.#known, ...others]);
        }),
        map(({ master }) => master),
      ),
    );
  }

  async #ask(wire: Wire): Promise<{ readonly master: Address; readonly others: readonly Address[] }> {
    const { name, areOthersSought } = this.given;
    const master = await this.#named(wire);
    const others = areOthersSought ? await wire.call('SENTINEL', 'SENTINELS', name) : [];
    return { master, others: listsIn(others).flatMap((each) => this.#addressOf(fieldsOf(texts(each)))) };
  }

  async #named(wire: Wire): Promise<Address> {
    const { name, natMap } = this.given;
    const reply = await wire.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name);
    const [host = '', port] = texts(reply);
    if (host === '') throw new Error(`the sentinel knows no master ${name}`);
    return translated({ host, port: Number(port) }, natMap);
  }

  #addressOf(fields: ReadonlyMap<string, string>): readonly Address[] {
    const [host = '', port, flags = ''] = ['ip', 'port', 'flags'].map((field) => fields.get(field));
    if (host === '' || flags.split(',').includes('disconnected')) return [];
    return [translated({ host, port: Number(port) }, this.given.natMap)];
  }

  /** Errors once this sentinel says that the master is another one. If it does not answer, it has others beside it. */
  #switched(node: Address, master: Address, options: WireOptions): Observable<never> {
    const { name, natMap, dial } = this.given;
    const compare = (now: Address): void => {
      if (now.host !== master.host || now.port !== master.port)
        throw new MovedAway(`a sentinel says that the master is at ${now.host}:${now.port}`);
    };
    let attempt = 0;
    const told$ = new Subject<string>();
    const switches$ = told$.pipe(
      map((message) => message.split(' ')),
      filter(([about]) => about === name),
      tap(([, , , host = '', port]) => compare(translated({ host, port: Number(port) }, natMap))),
    );
    return dial({ ...options, isSharded: false, heard: (_, message) => told$.next(message) }, node).pipe(
      switchMap((wire) => {
        // Nobody has listened since the last time.
        const missed$ = attempt === 0 ? EMPTY : from(this.#named(wire)).pipe(tap(compare));
        const pings$ = interval(options.timing.renewEveryMs).pipe(exhaustMap(() => wire.call('PING')));
        return merge(switches$, missed$, from(wire.subscribe(SWITCHED)), pings$);
      }),
      ignoreElements(),
      retry({
        delay: (cause) =>
          cause instanceof MovedAway ? throwError(() => cause) : timer(reconnectMs(options.timing, attempt++)),
      }),
    );
  }
}

function quiet({ timing }: WireOptions): WireOptions {
  return { timing, isSharded: false };
}

function fieldsOf(pairs: readonly string[]): ReadonlyMap<string, string> {
  return new Map(pairs.flatMap((field, at) => (at % 2 === 0 ? [[field, pairs[at + 1] ?? '']] : [])));
}

import { finalize, map, type Observable, share, switchMap, take, tap } from 'rxjs';
import { type Address, firstAnswer, type NatMap, translated, unique } from './addresses.js';
import { listsIn, text } from './replies.js';
import type { Dial, WireOptions } from './wire.js';

/**
 * Which master of a Redis Cluster has which slot: asked of the nodes whenever a connection is made, each time beginning
 * with another, since one that is cut off from the rest goes on saying what was so before.
 */
export class ClusterMap {
  #known: readonly Address[];
  #turn = 0;
  #looking: Observable<readonly Range[]> | undefined;

  constructor(
    private readonly seeds: readonly Address[],
    private readonly dial: Dial,
    private readonly natMap: NatMap | undefined,
  ) {
    this.#known = seeds;
  }

  /**
   * Who has the slot, as one of the nodes says now. Errors if none answers, with why the last one did not. When nobody
   * is subscribed any more, nothing is asked any more.
   */
  ownerOf(slot: number, options: WireOptions): Observable<Address> {
    // Connections that are made at the same time ask together.
    this.#looking ??= this.#look(options).pipe(
      finalize(() => {
        this.#looking = undefined;
      }),
      share(),
    );
    return this.#looking.pipe(
      take(1),
      map((ranges) => {
        const range = ranges.find(({ first, last }) => first <= slot && slot <= last);
        const master = range?.nodes[0];
        if (master === undefined) throw new Error(`no master of the cluster has the slot ${slot}`);
        return master;
      }),
    );
  }

  #look({ timing }: WireOptions): Observable<readonly Range[]> {
    const turn = this.#turn++ % this.#known.length;
    return firstAnswer([...this.#known.slice(turn), ...this.#known.slice(0, turn)], (node) =>
      this.dial({ timing, isSharded: false }, node).pipe(
        switchMap((wire) => wire.call('CLUSTER', 'SLOTS')),
        take(1),
        map((reply) => listsIn(reply).map((range) => this.#rangeOf(range, node))),
      ),
    ).pipe(
      tap((ranges) => {
        this.#known = unique([...this.seeds, ...ranges.flatMap(({ nodes }) => nodes)]);
      }),
    );
  }

  #rangeOf([first, last, ...nodes]: readonly unknown[], asked: Address): Range {
    return {
      first: Number(first),
      last: Number(last),
      // Who does not know its own name is where it was asked.
      nodes: listsIn(nodes).map(([host, port]) =>
        translated({ host: text(host) || asked.host, port: Number(port) }, this.natMap),
      ),
    };
  }
}

/** Slots that are together, and who has them, the master first. */
interface Range {
  readonly first: number;
  readonly last: number;
  readonly nodes: readonly Address[];
}

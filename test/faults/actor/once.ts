import { isLeft } from 'fp-ts/lib/Either.js';
import { Subscription } from 'rxjs';
import { type Backend, LockLost, tryLock } from '../../../src/index.js';
import type { Roster } from '../history.js';
import { now } from '../recorder.js';
import { fail } from './fatal.js';
import type { Setting, Taker } from './setting.js';

/** Asks for a lock once; if it is free, holds it until told otherwise. */
export class Once implements Taker {
  readonly roster: Roster;
  readonly #stay = new Subscription();
  readonly #holding: string;
  #grant: { readonly token: bigint; isValid(): boolean } | undefined;

  constructor(
    private readonly backend: Backend,
    private readonly lock: string,
    private readonly setting: Setting,
    private readonly answered: (isHeld: boolean) => void,
  ) {
    this.roster = `lock ${lock}`;
    this.#holding = setting.newHolding(this.roster);
  }

  start(): void {
    this.#tell('contending');
    this.#stay.add(
      tryLock(this.backend, this.lock).subscribe({
        next: (taken) => {
          if (isLeft(taken)) {
            this.#tell('withdrew');
          } else {
            const { token } = taken.right;
            this.#grant = taken.right;
            const { roster } = this;
            this.setting.recorder.tell({ kind: 'acquired', roster, holding: this.#holding, token });
            this.setting.acquired(roster);
            this.work();
          }
          this.answered(this.#grant !== undefined);
        },
        error: (error) => {
          if (!(error instanceof LockLost)) fail(`lock ${this.lock}`, error);
          this.#tell('lost');
          this.#grant = undefined;
        },
      }),
    );
  }

  work(): boolean {
    const at = now();
    if (this.#grant?.isValid() !== true) return false;
    const { roster } = this;
    const { token } = this.#grant;
    this.setting.recorder.tell({ kind: 'worked', roster, holding: this.#holding, token }, at);
    this.setting.register.write(roster, this.#holding, token);
    return true;
  }

  release(): void {
    if (this.#grant !== undefined) this.#tell('released');
    this.#grant = undefined;
    this.#stay.unsubscribe();
  }

  stop(): void {
    this.release();
  }

  #tell(kind: 'contending' | 'withdrew' | 'lost' | 'released'): void {
    this.setting.recorder.tell({ kind, roster: this.roster, holding: this.#holding });
  }
}

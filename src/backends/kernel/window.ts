import { Row, type Stander } from './row.js';

/**
 * Lets so many go on at a time; who comes later waits in order. What waits here has not been sent, so whoever gives up
 * takes it back.
 */
export class Window {
  readonly #waiting = new Row<Turn>();
  #underWay = 0;
  #isLetting = false;
  #isClosed = false;

  constructor(private readonly most: number) {}

  /** Nothing more is let in. */
  close(): void {
    this.#isClosed = true;
  }

  /** @internal */
  wait(turn: Turn): Stander<Turn> {
    return this.#waiting.add(turn);
  }

  /** @internal */
  left(): void {
    this.#underWay--;
    this.letIn();
  }

  /** What is let in may come to its end at once: then the next is let in here, and not within it. @internal */
  letIn(): void {
    if (this.#isLetting) return;
    this.#isLetting = true;
    for (let next = this.#waiting.first; next !== undefined && this.#hasRoom; next = this.#waiting.first) {
      this.#underWay++;
      next.value.begin();
    }
    this.#isLetting = false;
  }

  get #hasRoom(): boolean {
    return !this.#isClosed && this.#underWay < this.most;
  }
}

/** One who goes through a window. It is to leave when what it has begun has come to its end, or is not waited for any longer. */
export class Turn {
  #waiting: Stander<Turn> | undefined;
  #isUnderWay = false;

  constructor(
    private readonly window: Window,
    private readonly run: () => void,
  ) {}

  /** Runs at once where there is room. */
  take(): void {
    this.#waiting = this.window.wait(this);
    this.window.letIn();
  }

  leave(): void {
    this.#waiting?.leave();
    if (!this.#isUnderWay) return;
    this.#isUnderWay = false;
    this.window.left();
  }

  /** @internal */
  begin(): void {
    this.#waiting?.leave();
    this.#isUnderWay = true;
    this.run();
  }
}

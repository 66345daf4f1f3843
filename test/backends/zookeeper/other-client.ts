import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { watchdog } from '../../../src/testing/processes/watchdog.js';

/** One interval in which something was held, in nanoseconds of the machine's monotonic clock. */
export interface Held {
  readonly mode: 'shared' | 'exclusive';
  readonly askedNs: bigint;
  readonly fromNs: bigint;
  readonly untilNs: bigint;
}

/**
 * A program over another library, in a process of its own, that holds what it is told to. It reads lines `<who> <words…>`
 * and answers with `<who> <words…>`; each `who` does one thing after the other, beside the others.
 */
export class OtherClient implements AsyncDisposable {
  readonly #child;
  readonly #ended: Promise<unknown>;
  readonly #heard = new Map<string, string[]>();
  #changed: (() => void)[] = [];

  constructor(command: string, args: readonly string[]) {
    this.#child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    watchdog().watch(this.#child);
    this.#ended = once(this.#child, 'exit');
    createInterface(this.#child.stdout).on('line', (line) => {
      const [who = '', ...words] = line.split(' ');
      this.#heard.set(who, [...(this.#heard.get(who) ?? []), words.join(' ')]);
      for (const changed of this.#changed.splice(0)) changed();
    });
  }

  say(who: string, words: string): void {
    this.#child.stdin.write(`${who} ${words}\n`);
  }

  /** The next answer of this one. */
  async next(who: string, limitMs = 10_000): Promise<string> {
    const deadline = performance.now() + limitMs;
    for (;;) {
      const answer = this.#heard.get(who)?.shift();
      if (answer !== undefined) return answer;
      const left = deadline - performance.now();
      if (left <= 0 || this.#child.exitCode !== null)
        throw new Error(`${who} did not answer within ${limitMs} ms; the others: ${JSON.stringify([...this.#heard])}`);
      await new Promise<void>((resolve) => {
        const limit = setTimeout(resolve, left);
        this.#changed.push(() => {
          clearTimeout(limit);
          resolve();
        });
      });
    }
  }

  async ask(who: string, words: string): Promise<string> {
    this.say(who, words);
    return this.next(who);
  }

  /** Whether this one has answered by now. */
  hasAnswered(who: string): boolean {
    return (this.#heard.get(who)?.length ?? 0) > 0;
  }

  /** SIGKILL; resolves when it has ended. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin.end();
    await this.#ended;
  }
}

/** What such a program tells of its rounds: `<asked> <from> <until>`, in nanoseconds. */
export function toHeld(mode: Held['mode'], answer: string): Held {
  const [askedNs = 0n, fromNs = 0n, untilNs = 0n] = answer.split(' ').map((word) => BigInt(word));
  return { mode, askedNs, fromNs, untilNs };
}

/** Pairs that were held at the same time although one of them is exclusive. */
export function overlaps(all: readonly Held[]): readonly (readonly [Held, Held])[] {
  const inOrder = [...all].sort((a, b) => (a.fromNs < b.fromNs ? -1 : 1));
  return inOrder.flatMap((one, index) =>
    inOrder
      .slice(index + 1)
      .filter((other) => other.fromNs < one.untilNs && (one.mode === 'exclusive' || other.mode === 'exclusive'))
      .map((other) => [one, other] as const),
  );
}

/** How often it was held at the same moment, at most. */
export function mostAtOnce(all: readonly Held[]): number {
  return Math.max(
    0,
    ...all.map(({ fromNs }) => all.filter((one) => one.fromNs <= fromNs && fromNs < one.untilNs).length),
  );
}

/** For the record: how many rounds, and the longest that anybody waited. */
export function figuresOf(all: readonly Held[]): string {
  const longest = (mode: Held['mode']): string => {
    const waits = all.filter((one) => one.mode === mode).map(({ askedNs, fromNs }) => Number(fromNs - askedNs) / 1e6);
    return `${waits.length} ${mode} (longest wait ${Math.max(0, ...waits).toFixed(0)} ms)`;
  };
  return `${longest('exclusive')}, ${longest('shared')}, ${overlaps(all).length} overlaps`;
}

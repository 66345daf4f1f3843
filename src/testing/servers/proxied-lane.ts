import type { Socket } from 'node:net';

export type Direction = 'toServer' | 'toClient';

/** What the proxy does to its connections at present. */
export interface Faults {
  isCut(direction: Direction, greeting: Buffer | undefined): boolean;
  delayMs(direction: Direction): number;
  bytesPerSecond(): number;
  /** Sees each chunk as it arrives; what it answers happens to the chunk. */
  fateOf(direction: Direction, chunk: Buffer, greeting: Buffer | undefined): Fate;
}

export type Fate =
  | 'passes'
  | 'lost'
  | 'lost, and the connection too'
  | { readonly stranded: (connection: StrandedConnection) => void };

/** A connection that its client has lost, and its server has not: what the client last sent is still on its way. */
export interface StrandedConnection {
  /** Lets it arrive. Resolves when the server has answered and said no more for a moment, or has closed the connection. */
  arrive(): Promise<void>;
}

interface Parcel {
  readonly content: Buffer | 'end' | 'reset';
  dueAtMs: number;
}

const mostQueuedBytes = 1_048_576;

/** One direction of a connection: what one socket reads, its end and its failure, in order, for the other socket. */
export class Lane {
  readonly #queue: Parcel[] = [];
  #queuedBytes = 0;
  #lastSentAtMs = 0;
  #source: Socket | undefined;
  #target: Socket | undefined;
  #targetIsFull = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly direction: Direction,
    private readonly faults: Faults,
    private readonly isCut: (direction: Direction) => boolean,
    /** Whether the chunk may go on. */
    private readonly arrived: (direction: Direction, chunk: Buffer) => boolean,
  ) {}

  startsAt(source: Socket): void {
    this.#source = source;
    source.on('data', (chunk) => {
      if (this.arrived(this.direction, chunk)) this.#sendInParts(chunk);
    });
    source.once('end', () => this.send('end'));
    // The other side learns of it in its turn, and not at all while this direction is cut.
    source.once('error', () => this.send('reset'));
    this.pump();
  }

  leadsTo(target: Socket): void {
    this.#target = target;
    for (const event of ['drain', 'close'] as const) {
      target.on(event, () => {
        this.#targetIsFull = false;
        this.pump();
      });
    }
    this.pump();
  }

  send(content: Parcel['content'], sendingMs = 0): void {
    this.#lastSentAtMs = Math.max(this.#lastSentAtMs, performance.now()) + sendingMs;
    this.#queue.push({ content, dueAtMs: this.#lastSentAtMs + this.faults.delayMs(this.direction) });
    if (typeof content !== 'string') this.#queuedBytes += content.length;
    this.pump();
  }

  pump(): void {
    clearTimeout(this.#timer);
    while (this.#target !== undefined && !this.#targetIsFull && !this.isCut(this.direction)) {
      const waitMs = (this.#queue[0]?.dueAtMs ?? 0) - performance.now();
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.pump(), Math.ceil(waitMs));
        break;
      }
      const parcel = this.#queue.shift();
      if (parcel === undefined) break;
      this.#deliver(parcel.content, this.#target);
    }
    if (this.isCut(this.direction) || this.#queuedBytes > mostQueuedBytes) this.#source?.pause();
    else this.#source?.resume();
  }

  hurry(): void {
    for (const parcel of this.#queue) parcel.dueAtMs = 0;
  }

  close(): void {
    this.#queue.length = 0;
    clearTimeout(this.#timer);
  }

  #deliver(content: Parcel['content'], target: Socket): void {
    if (content === 'end') target.end();
    else if (content === 'reset') cutOff(target);
    else {
      this.#queuedBytes -= content.length;
      if (!target.destroyed) this.#targetIsFull = !target.write(content);
    }
  }

  #sendInParts(chunk: Buffer): void {
    const bytesPerSecond = this.faults.bytesPerSecond();
    // In twentieths of a second, so that a large chunk trickles.
    const most = Number.isFinite(bytesPerSecond) ? Math.max(1, Math.floor(bytesPerSecond / 20)) : chunk.length;
    for (let at = 0; at < chunk.length; at += most) {
      const part = chunk.subarray(at, at + most);
      this.send(part, (part.length / bytesPerSecond) * 1_000);
    }
  }
}

/** Sends an RST. A socket that has said its end cannot be reset any more: Node would keep its handle for ever. */
export function cutOff(socket: Socket): void {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

const limitMs = 2_000;
const closeSession = -11;
/** What a server mixes into the id of a session when it makes its password. */
const superSecret = 0xb3415c00n;

/** Its owner connects again at the same time, and takes the session back before it is closed. */
const attempts = 20;

/**
 * Closes a session by its id: joins it by a connection of its own, which needs the password, and says its goodbye.
 * `false` if the server knows no such session.
 */
export async function closeZooKeeperSession(host: string, port: number, hexId: string): Promise<boolean> {
  const id = BigInt(`0x${hexId}`);
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const outcome = await joinAndLeave(host, port, id);
    if (outcome === 'absent') return attempt > 0;
    if (outcome === 'closed') return true;
  }
  throw new Error(`${host}:${port} did not close the session ${hexId}: its owner took it back ${attempts} times`);
}

async function joinAndLeave(host: string, port: number, id: bigint): Promise<'closed' | 'absent' | 'taken back'> {
  const socket = connect({ host, port });
  let silence: Error | undefined;
  socket.setTimeout(limitMs, () => {
    silence = new Error(`${host}:${port} did not answer within ${limitMs} ms`);
    socket.destroy(silence);
  });
  try {
    await once(socket, 'connect');
    const frames = new Frames(socket);
    /** `undefined` where the server closes the connection: whoever joined last has the session. */
    const answer = (): Promise<Buffer | undefined> =>
      frames.next().catch(() => {
        if (silence !== undefined) throw silence;
        return undefined;
      });
    socket.write(framed(joining(id)));
    const granted = await answer();
    if (granted === undefined) return 'taken back';
    // The version comes first, then the timeout of the session: 0 for one that is not there.
    if (granted.readInt32BE(4) === 0) return 'absent';
    const goodbye = Buffer.alloc(8);
    goodbye.writeInt32BE(1, 0);
    goodbye.writeInt32BE(closeSession, 4);
    socket.write(framed(goodbye));
    // Without an answer the session is closed, or another connection has it: the next attempt finds out.
    return (await answer())?.readInt32BE(12) === 0 ? 'closed' : 'taken back';
  } finally {
    socket.destroy();
  }
}

/** Version, last transaction seen, timeout, session, password. */
function joining(id: bigint): Buffer {
  const request = Buffer.alloc(28);
  request.writeInt32BE(30_000, 12);
  request.writeBigUInt64BE(id, 16);
  return Buffer.concat([request.subarray(0, 24), Buffer.from([0, 0, 0, 16]), passwordOf(id), Buffer.from([0])]);
}

/** The first 16 bytes of Java's `Random` for the seed that the server takes. */
function passwordOf(id: bigint): Buffer {
  const [factor, addend, mask] = [0x5deece66dn, 0xbn, (1n << 48n) - 1n];
  let state = (id ^ superSecret ^ factor) & mask;
  const password = Buffer.alloc(16);
  for (let at = 0; at < 16; at += 4) {
    state = (state * factor + addend) & mask;
    password.writeUInt32LE(Number(state >> 16n), at);
  }
  return password;
}

function framed(content: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeInt32BE(content.length);
  return Buffer.concat([length, content]);
}

/** What the server says, message by message. */
class Frames {
  #received: Buffer = Buffer.alloc(0);
  #isOver = false;
  #failure: unknown;
  #changed: () => void = () => undefined;

  constructor(socket: Socket) {
    socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#changed();
    });
    socket.on('error', (error) => {
      this.#failure = error;
    });
    socket.on('close', () => {
      this.#isOver = true;
      this.#changed();
    });
  }

  async next(): Promise<Buffer> {
    for (;;) {
      const length = this.#received.length < 4 ? Number.POSITIVE_INFINITY : this.#received.readInt32BE(0);
      if (this.#received.length >= 4 + length) {
        const frame = this.#received.subarray(4, 4 + length);
        this.#received = this.#received.subarray(4 + length);
        return frame;
      }
      if (this.#isOver)
        throw new Error('the server closed the connection instead of answering', { cause: this.#failure });
      await new Promise<void>((changed) => {
        this.#changed = changed;
      });
    }
  }
}

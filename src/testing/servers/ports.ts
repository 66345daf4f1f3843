import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';

export const loopback = '127.0.0.1';

// Below the ports that the system hands to outgoing connections: there, a client that tries to reach a stopped server
// again and again ends up connected to itself, and keeps the server from coming back.
const lowest = 12_000;
const highest = 32_000;

/** TCP ports that no other test process is given until these are disposed of, even while nothing listens on them. */
export class ReservedPorts implements Disposable {
  readonly #reservations: Disposable[] = [];

  async take(): Promise<number> {
    for (let attempt = 0; attempt < 200; attempt += 1) {
      const port = lowest + Math.floor(Math.random() * (highest - lowest));
      const reservation = await tryReserve(port);
      if (reservation === undefined) continue;
      this.#reservations.push(reservation);
      if (await isFree(port)) return port;
    }
    throw new Error(`found no free TCP port between ${lowest} and ${highest} on ${loopback}: end what listens there`);
  }

  [Symbol.dispose](): void {
    for (const reservation of this.#reservations.splice(0)) reservation[Symbol.dispose]();
  }
}

/** The UDP port of the same number stands for the reservation: the system gives it back when this process dies. */
async function tryReserve(port: number): Promise<Disposable | undefined> {
  const socket = createSocket('udp4');
  try {
    socket.bind({ port, address: loopback, exclusive: true });
    await once(socket, 'listening');
    socket.unref();
    return { [Symbol.dispose]: () => socket.close() };
  } catch {
    socket.close();
    return undefined;
  }
}

async function isFree(port: number): Promise<boolean> {
  const probe = createServer();
  try {
    probe.listen(port, loopback);
    await once(probe, 'listening');
    probe.close();
    await once(probe, 'close');
    return true;
  } catch {
    return false;
  }
}

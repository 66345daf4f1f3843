import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { loopback, ReservedPorts } from '../../src/testing/servers/ports.js';
import type { Direction } from '../../src/testing/servers/tcp-proxy.js';

/** What becomes of a chunk: other bytes, after which the connection may be cut. */
export interface Mangled {
  readonly bytes: Buffer;
  readonly thenCut?: boolean;
}

export type Mangle = (direction: Direction, chunk: Buffer) => Mangled;

/** A way to a server that changes what passes, or to nothing at all: then `mangle` makes up the answers. */
export class ManglingProxy implements AsyncDisposable {
  /** `undefined`: everything passes as it is. */
  mangle: Mangle | undefined;
  mangledChunks = 0;
  connectionsMade = 0;
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer({ noDelay: true }, (client) => this.#accept(client));

  private constructor(
    readonly port: number,
    private readonly target: number | undefined,
    private readonly ports: ReservedPorts,
  ) {}

  /** Without a `target` each chunk of a client is answered with what `mangle` makes of it. */
  static async start(target?: number): Promise<ManglingProxy> {
    const ports = new ReservedPorts();
    const proxy = new ManglingProxy(await ports.take(), target, ports);
    proxy.#server.listen(proxy.port, loopback);
    await once(proxy.#server, 'listening');
    return proxy;
  }

  /** Cuts what there is, with what lies in the way. */
  reset(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#server, 'close');
    this.#server.close();
    this.reset();
    await ended;
    this.ports[Symbol.dispose]();
  }

  #accept(client: Socket): void {
    this.connectionsMade += 1;
    this.#keep(client);
    if (this.target === undefined) {
      client.on('data', (chunk) => this.#pass('toClient', chunk, client));
      return;
    }
    const server = this.#keep(connect({ host: loopback, port: this.target, noDelay: true }));
    client.on('data', (chunk) => this.#pass('toServer', chunk, server));
    server.on('data', (chunk) => this.#pass('toClient', chunk, client));
    client.once('close', () => server.destroy());
    server.once('close', () => client.destroy());
  }

  #pass(direction: Direction, chunk: Buffer, to: Socket): void {
    if (this.mangle === undefined) {
      to.write(chunk);
      return;
    }
    this.mangledChunks += 1;
    const { bytes, thenCut = false } = this.mangle(direction, chunk);
    if (thenCut) to.end(bytes, () => to.destroy());
    else to.write(bytes);
  }

  #keep(socket: Socket): Socket {
    this.#sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => this.#sockets.delete(socket));
    return socket;
  }
}

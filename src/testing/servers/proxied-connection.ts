import { connect, type Socket } from 'node:net';
import { cutOff, type Direction, type Faults, Lane } from './proxied-lane.js';

export interface Target {
  readonly host: string;
  readonly port: number;
  /** For so long the connection waits for a server that does not listen; then it is reset. */
  readonly patienceMs: number;
}

const redialMs = 50;

/** Longer than a server takes between the first and the last part of an answer. */
const quietMs = 100;

/** One client's connection through the proxy: two sockets, and a lane between them in each direction. */
export class ProxiedConnection {
  readonly #toServer: Lane;
  readonly #toClient: Lane;
  readonly #patientUntilMs: number;
  /** The first chunk that the client sent. */
  #greeting: Buffer | undefined;
  /** Of a connection that its client has lost: whether what it sent stays on its way, whatever is cut or healed. */
  #stranded: 'on its way' | 'arriving' | undefined;
  #serverSpoke: () => void = () => undefined;
  #server: Socket | undefined;
  #redial: NodeJS.Timeout | undefined;

  constructor(
    private readonly client: Socket,
    private readonly target: Target,
    private readonly faults: Faults,
    private readonly closed: () => void,
  ) {
    this.#patientUntilMs = performance.now() + target.patienceMs;
    const isCut = (direction: Direction): boolean =>
      this.#stranded === undefined
        ? faults.isCut(direction, this.#greeting)
        : direction === 'toServer' && this.#stranded === 'on its way';
    const arrived = (direction: Direction, chunk: Buffer): boolean => this.#arrived(direction, chunk);
    this.#toServer = new Lane('toServer', faults, isCut, arrived);
    this.#toClient = new Lane('toClient', faults, isCut, arrived);
    this.#toServer.startsAt(client);
    this.#toClient.leadsTo(client);
    client.once('close', () => this.#closeWhenBothAre());
    this.pump();
  }

  /** Moves on what may move under the present faults. */
  pump(): void {
    if (this.#server === undefined && !this.faults.isCut('toServer', this.#greeting)) this.#dial();
    this.#toServer.pump();
    this.#toClient.pump();
  }

  /** What is delayed is due now. */
  hurry(): void {
    this.#toServer.hurry();
    this.#toClient.hurry();
  }

  /** RST to both sides. */
  reset(): void {
    cutOff(this.client);
    if (this.#server !== undefined) cutOff(this.#server);
  }

  destroy(): void {
    this.client.destroy();
    this.#server?.destroy();
  }

  #dial(): void {
    const { host, port } = this.target;
    const server = connect({ host, port, allowHalfOpen: true, noDelay: true });
    this.#server = server;
    const failed = (): void => {
      if (performance.now() < this.#patientUntilMs) this.#redial = setTimeout(() => this.#dial(), redialMs);
      else this.#toClient.send('reset');
    };
    server.once('error', failed);
    server.once('connect', () => {
      server.off('error', failed);
      this.#toServer.leadsTo(server);
      this.#toClient.startsAt(server);
    });
    server.once('close', () => this.#closeWhenBothAre());
  }

  #closeWhenBothAre(): void {
    if (!this.client.closed || this.#server?.closed === false) return;
    clearTimeout(this.#redial);
    this.#toServer.close();
    this.#toClient.close();
    this.closed();
  }

  #arrived(direction: Direction, chunk: Buffer): boolean {
    if (direction === 'toServer') this.#greeting ??= chunk;
    else this.#serverSpoke();
    const fate = this.faults.fateOf(direction, chunk, this.#greeting);
    if (fate === 'lost, and the connection too') this.reset();
    if (typeof fate === 'object') {
      this.#stranded = 'on its way';
      cutOff(this.client);
      fate.stranded({ arrive: () => this.#arrive() });
      return true;
    }
    return fate === 'passes';
  }

  async #arrive(): Promise<void> {
    const server = this.#server;
    if (server === undefined || server.closed || server.readableEnded) return;
    await new Promise<void>((answered) => {
      let quiet: NodeJS.Timeout | undefined;
      this.#serverSpoke = () => {
        clearTimeout(quiet);
        quiet = setTimeout(answered, quietMs);
      };
      server.once('end', answered);
      server.once('close', answered);
      this.#stranded = 'arriving';
      this.pump();
    });
    this.reset();
  }
}

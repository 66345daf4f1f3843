import { connect, type Socket } from 'node:net';

/** Sends writes to the resource and does not wait for what it says: the resource tells. */
export class RegisterClient implements Disposable {
  readonly #socket: Socket;

  constructor(
    port: number,
    private readonly run: string,
  ) {
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true });
    // The resource ends when the laboratory does.
    this.#socket.on('error', () => {});
    this.#socket.resume();
  }

  write(register: string, holding: string, token: bigint): void {
    this.#socket.write(`${JSON.stringify([this.run, register, holding, `${token}`])}\n`);
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}

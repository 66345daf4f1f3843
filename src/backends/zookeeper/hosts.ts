import { InvalidOptions } from '../errors.js';
import type { Server } from './raw-client.js';

/** Where the next connection is tried. Shared by the sessions of one backend, so that a dead server is not asked first each time. */
export class Hosts {
  #at: number;

  constructor(readonly all: readonly Server[]) {
    this.#at = Math.floor(Math.random() * all.length);
  }

  next(): Server {
    const host = this.all[this.#at % this.all.length];
    this.#at++;
    if (host === undefined) throw new InvalidOptions(['hosts must name at least one server']);
    return host;
  }
}

import { filter, firstValueFrom } from 'rxjs';
import { type Backend, connect, lock } from '../../../src/index.js';
import { answer } from '../../../src/testing/processes/client-side.js';
import { startProxy, type TcpProxy } from '../../../src/testing/servers/tcp-proxy.js';

export type RivalCalls = typeof calls;

let backend: Backend | undefined;
let admittedAtNs: bigint | undefined;
let proxy: TcpProxy | undefined;

/** What must go on while the loop of the test's own process is blocked: another contender, and the network. */
const calls = {
  /** Resolves when it stands in line behind another. */
  contend: async (url: string, name: string, options: object): Promise<void> => {
    const rival = connect(url, options);
    backend = rival;
    lock(rival, name).subscribe(() => {
      admittedAtNs = process.hrtime.bigint();
    });
    await firstValueFrom(rival.entries({ kind: 'lock', name }).pipe(filter(({ length }) => length > 1)));
  },
  admittedAtNs: () => admittedAtNs,
  startProxy: async (host: string, port: number): Promise<{ host: string; port: number }> => {
    proxy = await startProxy({ host, port });
    return { host: proxy.host, port: proxy.port };
  },
  cutIn: (ms: number): void => void setTimeout(() => proxy?.blackhole(), ms),
  heal: () => proxy?.heal(),
  leave: async (): Promise<void> => {
    await Promise.all([backend?.close(), proxy?.close()]);
    [backend, admittedAtNs, proxy] = [undefined, undefined, undefined];
  },
};

answer(calls);

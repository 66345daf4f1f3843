import { createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { answer } from '../../src/testing/processes/client-side.js';
import { Recorder } from './recorder.js';

export type ResourceCalls = typeof calls;

/** The greatest token of each register so far: smaller ones are refused. */
const greatest = new Map<string, bigint>();
let recorder: Recorder | undefined;
let currentRun: string | undefined;

const calls = {
  /** From here on writes of this run are told to this log, and the registers are new. Others are not meant. */
  begin: (run: string, log: string): void => {
    currentRun = run;
    recorder?.[Symbol.dispose]();
    recorder = new Recorder(log, 'resource');
    greatest.clear();
  },
  listen: (): Promise<number> =>
    new Promise((resolve, reject) => {
      const server = createServer((socket) => serve(socket));
      server.once('error', reject);
      server.listen(0, '127.0.0.1', () => {
        const address = server.address();
        if (typeof address === 'object' && address !== null) resolve(address.port);
      });
    }),
};

function serve(socket: Socket): void {
  socket.on('error', () => {});
  createInterface(socket).on('line', (line) => {
    const [run, register, holding, text] = JSON.parse(line) as [string, string, string, string];
    if (run !== currentRun) return;
    const token = BigInt(text);
    const accepted = token >= (greatest.get(register) ?? 0n);
    if (accepted) greatest.set(register, token);
    recorder?.tell({ kind: 'wrote', register, holding, token, accepted });
  });
}

answer(calls);

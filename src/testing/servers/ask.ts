import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';

export interface Asking {
  readonly limitMs?: number;
  /** Ends our side after the question, for servers that wait for more. */
  readonly thenEnd?: boolean;
}

/** Sends `question` on a connection of its own and returns all that is answered until the server closes it. */
export function askTcp(host: string, port: number, question: string, options: Asking = {}): Promise<string> {
  const { limitMs = 2_000, thenEnd = false } = options;
  return new Promise((resolve, reject) => {
    const answer: Buffer[] = [];
    const socket = connect({ host, port });
    const limit = setTimeout(() => {
      socket.destroy(new Error(`${host}:${port} did not answer ${JSON.stringify(question)} within ${limitMs} ms`));
    }, limitMs);
    socket.once('connect', () => (thenEnd ? socket.end(question) : socket.write(question)));
    socket.on('data', (chunk) => answer.push(chunk));
    socket.once('error', reject);
    socket.once('close', () => {
      clearTimeout(limit);
      resolve(Buffer.concat(answer).toString());
    });
  });
}

/** The body of `url` on a connection of its own; `post` is sent as JSON. */
export function askHttp(url: string, post?: unknown, limitMs = 2_000): Promise<string> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(limitMs);
    const request = httpRequest(
      url,
      { agent: false, signal, method: post === undefined ? 'GET' : 'POST' },
      (response) => {
        const body: Buffer[] = [];
        response.on('data', (chunk: Buffer) => body.push(chunk));
        response.once('error', reject);
        response.once('end', () => {
          const text = Buffer.concat(body).toString();
          if (response.statusCode === 200) resolve(text);
          else reject(new Error(`${url} answered with status ${response.statusCode}: ${text}`));
        });
      },
    );
    request.once('error', reject);
    if (post !== undefined) request.write(JSON.stringify(post));
    request.end();
  });
}

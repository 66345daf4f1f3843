import { askTcp } from './ask.js';
import { loopback } from './ports.js';
import { onFreePorts, startServer, type TestServer } from './server.js';
import type { ShiftedClock } from './shifted-clock.js';

export interface RedisOptions {
  /** Without it all data is gone when the process ends, also after `stop`. */
  readonly appendonly?: boolean;
  readonly appendfsync?: 'always' | 'everysec' | 'no';
  readonly password?: string;
  /** With it, this user is the only one who may log in, with `password`; else the password is the default user's. */
  readonly username?: string;
  /** Further arguments of redis-server. */
  readonly args?: readonly string[];
  /** Of the server, and of it alone. */
  readonly clock?: ShiftedClock;
}

/** Listens on 127.0.0.1, and on ::1 where there is one. */
export function startRedis(options: RedisOptions = {}): Promise<TestServer> {
  return onFreePorts(async (ports) => {
    const port = await ports.take();
    const url = redisUrl(port, options);
    return startServer({
      product: 'redis',
      url,
      port,
      ports,
      command: (dataDir) => ['redis-server', ...settings(port, dataDir, options), ...(options.args ?? [])],
      answers: async () => (await askRedis(url, 'PING')).startsWith('+PONG'),
      ...(options.clock && { env: options.clock.environment }),
    });
  });
}

/** The raw replies to one command, on a connection of its own. */
export async function askRedis(url: string, ...command: readonly string[]): Promise<string> {
  const { hostname, port, username, password } = new URL(url);
  const credentials = [username, password].filter((word) => word !== '').map(decodeURIComponent);
  const login = credentials.length === 0 ? '' : encode(['AUTH', ...credentials]);
  const answer = await askTcp(hostname, Number(port || 6379), login + encode(command), { thenEnd: true });
  if (login === '') return answer;
  if (!answer.startsWith('+OK\r\n')) throw new Error(`${hostname}:${port} refused the login: ${answer}`);
  return answer.slice('+OK\r\n'.length);
}

function settings(port: number, dataDir: string, options: RedisOptions): string[] {
  const { appendonly = false, appendfsync = 'everysec', username, password } = options;
  const access =
    password === undefined
      ? []
      : username === undefined
        ? ['--requirepass', password]
        : ['--user', 'default', 'off', '--user', username, 'on', `>${password}`, '~*', '&*', '+@all'];
  return [
    ...['--port', `${port}`, '--bind', loopback, '-::1', '--dir', dataDir, '--save', ''],
    ...['--appendonly', appendonly ? 'yes' : 'no', '--appendfsync', appendfsync],
    ...access,
  ];
}

function redisUrl(port: number, { username = '', password = '' }: RedisOptions): string {
  const login = password === '' ? '' : `${encodeURIComponent(username)}:${encodeURIComponent(password)}@`;
  return `redis://${login}${loopback}:${port}`;
}

function encode(words: readonly string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`;
}

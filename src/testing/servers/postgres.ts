import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { askTcp } from './ask.js';
import { loopback } from './ports.js';
import { isInstalled, type Program } from './program.js';
import { onFreePorts, startServer, type TestServer } from './server.js';

/** Debian keeps each version's programs in a folder of its own, which is not on the `PATH`. */
const debianFolder = '/usr/lib/postgresql';

export function postgresServer(): Program {
  return { name: program('postgres'), debianPackage: 'postgresql' };
}

function program(name: string): string {
  const places = versions().map((version) => join(debianFolder, version, 'bin', name));
  return places.find((place) => isInstalled({ name: place, debianPackage: 'postgresql' })) ?? name;
}

/** The newest first. */
function versions(): readonly string[] {
  try {
    return readdirSync(debianFolder).sort((a, b) => Number(b) - Number(a));
  } catch {
    return [];
  }
}

/**
 * Makes the data folder where it is empty, with `$1`; then the server takes the place of the shell, so a signal reaches it.
 * It refuses to run as root, so root runs it as `postgres`, who must be able to get to its folder.
 */
const run = `
initdb=$1
shift
[ -s data/PG_VERSION ] || "$initdb" --pgdata=data --username=postgres --auth=trust --encoding=UTF8 --locale=C.UTF-8 --no-sync --no-instructions || exit 1
exec "$@"
`;
const asPostgres = `
chmod 711 . .. && chown postgres: data || exit 1
exec setpriv --reuid=postgres --regid=postgres --init-groups -- "$@"
`;

/**
 * Starts a PostgreSQL server on a free port of 127.0.0.1, with a user `postgres` without a password, and a database of
 * that name: for tests of what is written under a fencing token.
 *
 * It ends with this process, whatever that dies of, and so does its data.
 *
 * **Rejects** `MissingProgram` without `postgres`; another error, with the end of its log, when it does not start.
 *
 * @example
 * await using postgres = await startPostgres();
 * const url = postgres.url;
 */
export function startPostgres(): Promise<TestServer> {
  return onFreePorts(async (ports) => {
    const port = await ports.take();
    const server = postgresServer();
    const settings = {
      listen_addresses: loopback,
      unix_socket_directories: '',
      // Nothing here has to outlive the machine.
      fsync: 'off',
      shared_buffers: '16MB',
      max_connections: '50',
    };
    const command: readonly [string, ...string[]] = [
      ...(['sh', '-c', run, 'sh', program('initdb'), server.name, '-D', 'data', '-p', `${port}`] as const),
      ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ];
    const isRoot = process.getuid?.() === 0;
    return await startServer({
      product: 'postgres',
      url: `postgres://postgres@${loopback}:${port}/postgres`,
      port,
      ports,
      needs: [server, ...(isRoot ? [{ name: 'setpriv', debianPackage: 'util-linux' }] : [])],
      command: () => (isRoot ? ['sh', '-c', asPostgres, 'sh', ...command] : command),
      // At SIGTERM it waits for its clients; killed, it leaves shared memory behind.
      endsOn: 'SIGINT',
      answers: async () => (await askTcp(loopback, port, hello, { thenEnd: true })).startsWith('R'),
    });
  });
}

/** A StartupMessage of protocol 3.0; whoever is let in is answered with `R`. */
const hello = ((): string => {
  const body = `\0\x03\0\0${['user', 'postgres', 'database', 'postgres', ''].join('\0')}\0`;
  return `\0\0\0${String.fromCharCode(body.length + 4)}${body}`;
})();

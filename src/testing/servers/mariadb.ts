import { join } from 'node:path';
import { askTcp } from './ask.js';
import { loopback } from './ports.js';
import { isOnPath, type Program } from './program.js';
import { onFreePorts, startServer, type TestServer } from './server.js';

/** Debian keeps it where only root's `PATH` leads to. */
export function mariaDbServer(): Program {
  return { name: isOnPath('mariadbd') ? 'mariadbd' : '/usr/sbin/mariadbd', debianPackage: 'mariadb-server' };
}

/** Makes the data folder where it is empty; then the server takes the place of the shell, so a signal reaches it. */
const run = `
[ -d data/mysql ] || mariadb-install-db --no-defaults --datadir="$PWD/data" --auth-root-authentication-method=normal --skip-test-db $1 || exit 1
shift
exec "$@"
`;

/**
 * Starts a MariaDB server on a free port of 127.0.0.1, with a user `root` without a password, and an empty database
 * `conclave`: for tests of what is written under a fencing token.
 *
 * It ends with this process, whatever that dies of, and so does its data.
 *
 * **Rejects** `MissingProgram` without `mariadbd`; another error, with the end of its log, when it does not start.
 *
 * @example
 * await using mariaDb = await startMariaDb();
 * const url = mariaDb.url;
 */
export function startMariaDb(): Promise<TestServer> {
  return onFreePorts(async (ports) => {
    const port = await ports.take();
    const server = mariaDbServer();
    // It refuses to run as root unless it is told to.
    const user = process.getuid?.() === 0 ? ['--user=root'] : [];
    return await startServer({
      product: 'mariadb',
      url: `mysql://root@${loopback}:${port}/conclave`,
      port,
      ports,
      needs: [server, { name: 'mariadb-install-db', debianPackage: 'mariadb-server' }],
      files: () => ({ 'init.sql': 'CREATE DATABASE IF NOT EXISTS conclave CHARACTER SET utf8mb4;\n' }),
      command: (dataDir) => [
        ...(['sh', '-c', run, 'sh', user.join()] as const),
        ...[server.name, '--no-defaults', `--datadir=${dataDir}`, `--init-file=${join(dataDir, 'init.sql')}`],
        ...[`--port=${port}`, `--bind-address=${loopback}`, ...user],
        ...[`--socket=${join(dataDir, 'socket')}`, `--pid-file=${join(dataDir, 'pid')}`],
        // Nothing here has to outlive the machine.
        ...['--innodb-flush-log-at-trx-commit=0', '--innodb-buffer-pool-size=16M', '--skip-log-bin'],
      ],
      // It greets whoever connects with version 10 of its protocol.
      answers: async () => (await askTcp(loopback, port, '', { thenEnd: true })).charAt(4) === '\n',
    });
  });
}

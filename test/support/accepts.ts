import { connect } from 'node:net';
import { loopback } from '../../src/testing/servers/ports.js';

/** Whether something accepts connections there. */
export function accepts(port: number, host = loopback): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
